-- What `.dump` says of a file with version 1 of the schema.
BEGIN TRANSACTION;
CREATE TABLE "sessions" (
    key TEXT NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    revision INTEGER NOT NULL,
    subject TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES('AbCdEfGhIjKlMn.-',-2,'zoë',1700000000000,9223372036854775807,X'00626f6479ff');
CREATE TABLE "sessions_version" (version INTEGER NOT NULL) STRICT;
INSERT INTO sessions_version VALUES(1);
CREATE INDEX "sessions_subject_idx" ON "sessions" (subject, key) WHERE subject IS NOT NULL;
CREATE INDEX "sessions_expires_at_idx" ON "sessions" (expires_at, key);
COMMIT;
