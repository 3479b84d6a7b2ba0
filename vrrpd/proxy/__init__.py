"""The proxy: takes clients' connections and makes others to real servers, which it tells of the client. Best effort."""
