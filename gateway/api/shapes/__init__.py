"""What the API answers, as types: the OpenAPI document is made of them, and a test holds every answer against it."""
