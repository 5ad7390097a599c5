-- What a default version does not say of IMDS the defaults of the region say: NULL there means that they were never set,
-- or may not be read. Where nothing at all is known of the default version (`said` is NULL), it could not be read.
with templates as (
  select t.arn, t.launch_template_id || coalesce(' (' || t.launch_template_name || ')', '') as name,
         t.metadata_http_tokens as tokens, t.metadata_http_endpoint as endpoint,
         s.metadata_http_tokens as default_tokens,
         coalesce(t.metadata_http_endpoint, s.metadata_http_endpoint) as effective_endpoint,
         coalesce(t.metadata_http_tokens, t.metadata_http_endpoint, t.image_id, t.instance_type, t.key_name,
                  t.iam_instance_profile_arn, t.iam_instance_profile_name, t.security_group_ids[1],
                  cast(t.metadata_http_put_response_hop_limit as text), cast(t.ebs_optimized as text),
                  cast(t.monitoring_enabled as text), cast(t.disable_api_termination as text),
                  cast(t.associate_public_ip_address as text)) as said,
         t.account_id, t.region
  from aws_ec2_launch_template t
  left join aws_ec2_regional_settings s on s.account_id = t.account_id and s.region = t.region
)
select arn as resource,
       case when endpoint = 'disabled' or tokens = 'required' then 'ok'
            when tokens is not null then 'alarm'
            when default_tokens = 'required' or effective_endpoint = 'disabled' then 'ok'
            when said is null then 'skip'
            else 'alarm' end as status,
       name
       || case when endpoint = 'disabled' then ' turns the metadata service off.'
               when tokens = 'required' then ' requires IMDSv2.'
               when tokens is not null then ' allows IMDSv1.'
               when default_tokens = 'required'
               then ' does not say whether it requires IMDSv2; ' || region || ' requires it by default.'
               when effective_endpoint = 'disabled'
               then ' does not turn the metadata service on, and ' || region || ' turns it off by default.'
               when said is null then ' has a default version of which nothing was collected.'
               else ' does not say that it requires IMDSv2, and no default of ' || region || ' requires it.' end as reason,
       account_id, region
from templates
