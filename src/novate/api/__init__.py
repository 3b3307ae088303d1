"""What clients see: JSON-RPC over WebSocket and HTTP, shaped like Deribit's (docs/api.md)."""
