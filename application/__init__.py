"""The use cases. Knows the ports (Protocols) and the domain; knows no technology."""
