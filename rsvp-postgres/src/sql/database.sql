SELECT current_setting('server_encoding'),
       current_setting('fsync')::bool,
       current_setting('full_page_writes')::bool,
       current_setting('synchronous_commit'),
       current_setting('synchronous_standby_names')
