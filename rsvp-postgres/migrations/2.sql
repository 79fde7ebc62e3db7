-- Small facts that the store keeps about itself.
CREATE TABLE {schema}.labels (
    name  text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

-- A role that may use the other tables may use this one.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role,
               privilege_type AS privilege,
               CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS grantable
        FROM pg_class, aclexplode(relacl)
        WHERE oid = '{schema}.rsvps'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON {schema}.labels TO %s%s',
                       held.privilege, held.role, held.grantable);
    END LOOP;
END
$$;
