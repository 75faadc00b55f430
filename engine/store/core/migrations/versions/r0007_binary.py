"""A server keeps documents of runs in binary form too, by itself (`server._conform`); a file stays as it is."""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing that both databases have."""
