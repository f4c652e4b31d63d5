"""What the files of a data folder are called."""

__all__ = ["CONTENT_FILE", "LEAVES_FILE", "LEDGER_FILE", "LOG_FILE", "READ_MODEL_FILE", "VAULT_FILE"]

LOG_FILE, READ_MODEL_FILE, CONTENT_FILE, VAULT_FILE = "log.db", "readmodel.db", "content.db", "vault.db"
LEAVES_FILE = "leaves.db"
LEDGER_FILE = "erasures.json"
