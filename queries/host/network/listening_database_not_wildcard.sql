select arn as resource,
       case when is_wildcard then 'alarm' else 'ok' end as status,
       coalesce(process_name, 'A database') || ' waits on ' || protocol || ' port ' || port || ' of '
       || case when is_wildcard then 'all addresses.' else address || ' only.' end as reason,
       account_id, region, protocol, address, port
from host_listening_socket
where array_has($ports, port)
