"""The Kubernetes agent: watches what concerns virtual addresses in a cluster, and makes a configuration of it."""
