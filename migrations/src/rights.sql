-- What the role of one service may do. Run after the schema's migrations, every time. It is sent as one text, which
-- PostgreSQL runs as one transaction.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
-- What was migrated is the migrations' own record. On the first run it is made before the default below exists, so
-- there is no moment in which a service could change it.
REVOKE ALL ON {schema}.refinery_schema_history FROM {role};
-- A table of a later migration is open as soon as it is there.
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
