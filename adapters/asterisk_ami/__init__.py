"""Voice by Asterisk's manager interface (AMI): calls and queues, over a connection that the hub opens."""
