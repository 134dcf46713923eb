"""Amazon Connect: contact events (calls, chats, tasks) from EventBridge, posted by an API destination."""
