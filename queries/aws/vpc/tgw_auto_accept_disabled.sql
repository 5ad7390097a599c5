select arn as resource,
       case when owner_id <> account_id or auto_accept_shared_attachments is null then 'skip'
            when auto_accept_shared_attachments = 'disable' then 'ok'
            else 'alarm' end as status,
       transit_gateway_id
       || case when owner_id <> account_id then ' is shared by account ' || owner_id || '.'
               when auto_accept_shared_attachments is null
               then ': whether it accepts attachments by itself was not collected.'
               when auto_accept_shared_attachments = 'disable' then ' accepts no attachment without being asked.'
               else ' accepts attachments of other accounts without being asked.' end as reason,
       account_id, region
from aws_ec2_transit_gateway
where state is null or state not in ('deleting', 'deleted')
