"""What music there is: plans, the pool of tag readers, and scans."""
