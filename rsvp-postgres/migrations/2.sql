-- Small facts that the store keeps about itself.
CREATE TABLE {schema}.labels (
    name  text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);
