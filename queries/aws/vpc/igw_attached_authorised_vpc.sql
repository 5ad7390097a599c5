select arn as resource,
       case when owner_id <> account_id or attachments is null then 'skip'
            when cardinality(attachments) = 0 then 'alarm'
            when array_has($authorised, '*') or cardinality(array_except(attachments, $authorised)) = 0 then 'ok'
            else 'alarm' end as status,
       internet_gateway_id
       || case when owner_id <> account_id then ' is shared by account ' || owner_id || '.'
               when attachments is null then ': its attachments were not collected.'
               when cardinality(attachments) = 0 then ' is attached to no VPC.'
               when array_has($authorised, '*')
               then ' is attached to ' || array_to_string(attachments, ', ') || '.'
               when cardinality(array_except(attachments, $authorised)) = 0
               then ' is attached to ' || array_to_string(attachments, ', ') || ', which is authorised.'
               else ' is attached to ' || array_to_string(array_except(attachments, $authorised), ', ')
                    || ', which is not authorised.' end as reason,
       account_id, region
from aws_vpc_internet_gateway
