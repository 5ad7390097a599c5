select arn as resource,
       case when metadata_http_endpoint = 'disabled' or metadata_http_tokens = 'required' then 'ok'
            when metadata_http_tokens is null then 'skip'
            else 'alarm' end as status,
       case when metadata_http_endpoint = 'disabled' then instance_id || ' has no metadata service.'
            when metadata_http_tokens = 'required' then instance_id || ' requires IMDSv2.'
            when metadata_http_tokens is null then 'The metadata options of ' || instance_id || ' were not collected.'
            else instance_id || ' answers IMDSv1 too.' end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
