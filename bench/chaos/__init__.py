"""What the product promises about money, put to the test: its processes are killed while clients use it."""
