"""The real-time process: adverts, virtual addresses, announcements, link events. The core decides, this carries out."""
