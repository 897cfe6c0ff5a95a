"""What the package adds to the CDK's components; CONTRIBUTING.md has the map."""
