-- As pg_dump gives it: version 1 of the schema, with one session.
SET standard_conforming_strings = on;
CREATE TABLE public.sessions (
    key text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    subject text COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    body bytea NOT NULL,
    expiry_bucket bigint GENERATED ALWAYS AS ((expires_at / 300000)) STORED NOT NULL,
    CONSTRAINT sessions_key_check CHECK ((length(key) = 16))
)
WITH (fillfactor='90');
CREATE TABLE public.sessions_version (
    version bigint NOT NULL
);
INSERT INTO public.sessions (key, revision, subject, created_at, expires_at, body)
    VALUES ('AbCdEfGhIjKlMn.-', -2, 'zoë', 1700000000000, 9223372036854775807, '\x00626f6479ff');
INSERT INTO public.sessions_version VALUES (1);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (key);
CREATE INDEX sessions_expires_at_idx ON public.sessions USING btree (expiry_bucket);
CREATE INDEX sessions_subject_idx ON public.sessions USING btree (subject, key) WHERE (subject IS NOT NULL);
