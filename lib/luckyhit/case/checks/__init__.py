"""What has to hold between the fields of a case; each check names the field that is most likely wrong."""
