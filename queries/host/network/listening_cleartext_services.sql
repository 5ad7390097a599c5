select arn as resource,
       case when is_loopback then 'ok' else 'alarm' end as status,
       coalesce(process_name, 'A program') || ' waits on ' || protocol || ' port ' || port || ' of ' || address
       || case when is_loopback then ', which only this machine can reach.'
               else ', where passwords are sent in the clear.' end as reason,
       account_id, region, protocol, address, port
from host_listening_socket
where (protocol in ('tcp', 'tcp6') and port in (21, 23, 512, 513, 514))
   or (protocol in ('udp', 'udp6') and port = 69)
