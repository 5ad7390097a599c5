select arn as resource,
       case when owner_id <> account_id or associations is null then 'skip'
            when cardinality(associations) > 0 then 'ok'
            when is_default then 'skip'
            else 'alarm' end as status,
       network_acl_id
       || case when owner_id <> account_id then ' is shared by account ' || owner_id || '.'
               when associations is null then ': its associations were not collected.'
               when cardinality(associations) = 1 then ' is used by 1 subnet.'
               when cardinality(associations) > 1 then ' is used by ' || cardinality(associations) || ' subnets.'
               when is_default then ' is used by no subnet, but is the default of its VPC and cannot be deleted.'
               else ' is used by no subnet.' end as reason,
       account_id, region
from aws_vpc_network_acl
