"""The services of the local ML platform: profiles, and bringing services up and down."""
