"""What tests share: requirements of the machine, real services, running sites."""
