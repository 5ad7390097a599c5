-- Each zone has two records that nobody can delete: NS and SOA of its own name.
select arn as resource,
       case when linked_service_principal is not null or resource_record_set_count is null then 'skip'
            when resource_record_set_count <= 2 then 'alarm'
            else 'ok' end as status,
       coalesce(name, id) || ' (' || id || ')'
       || case when linked_service_principal is not null then ' belongs to ' || linked_service_principal || '.'
               when resource_record_set_count is null then ' does not say how many records it has.'
               when resource_record_set_count <= 2 then ' has no records of its own.'
               else ' has ' || (resource_record_set_count - 2) || case resource_record_set_count when 3 then ' record' else ' records' end
                    || ' of its own.' end as reason,
       account_id, region
from aws_route53_zone
