with judged as (
  select *,
         case when protocol in ('tcp', 'tcp6') then array_has($tcp, port) else array_has($udp, port) end as authorised
  from host_listening_socket
  where is_wildcard
)
select arn as resource,
       case when authorised then 'ok' else 'alarm' end as status,
       coalesce(process_name, 'A program') || ' waits on ' || protocol || ' port ' || port
       || ' of all addresses and is '
       || case when authorised then 'authorised to.' else 'not authorised to.' end as reason,
       account_id, region, protocol, address, port
from judged
