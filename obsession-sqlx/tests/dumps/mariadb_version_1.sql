-- As mariadb-dump gives it: version 1 of the schema, with one session.
CREATE TABLE `sessions` (
  `key` binary(16) NOT NULL,
  `revision` bigint(20) NOT NULL,
  `subject` varbinary(1024) DEFAULT NULL,
  `created_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) NOT NULL,
  `body` longblob NOT NULL,
  PRIMARY KEY (`key`),
  KEY `sessions_subject_idx` (`subject`,`key`),
  KEY `sessions_expires_at_idx` (`expires_at`,`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC COMMENT='obsession-sqlx 1';
INSERT INTO `sessions` VALUES
('AbCdEfGhIjKlMn.-',-2,0x7a6fc3ab,1700000000000,9223372036854775807,0x00626f6479ff);
