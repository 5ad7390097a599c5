select arn as resource,
       case when owner_id <> account_id or map_public_ip_on_launch is null then 'skip'
            when map_public_ip_on_launch then 'alarm'
            else 'ok' end as status,
       subnet_id
       || case when owner_id <> account_id then ' is shared by account ' || owner_id || '.'
               when map_public_ip_on_launch is null then ': whether it gives public addresses was not collected.'
               when map_public_ip_on_launch then ' gives every instance started in it a public address.'
               else ' gives no public addresses by itself.' end as reason,
       account_id, region
from aws_vpc_subnet
