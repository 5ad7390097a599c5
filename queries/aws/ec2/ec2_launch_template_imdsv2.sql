-- A default version that says nothing of IMDS leaves it to the defaults of the region. Where nothing at all is known
-- of the default version, it could not be read.
select t.arn as resource,
       case when t.metadata_http_endpoint = 'disabled' or t.metadata_http_tokens = 'required' then 'ok'
            when t.metadata_http_tokens is not null then 'alarm'
            when s.metadata_http_tokens = 'required' or s.metadata_http_endpoint = 'disabled' then 'ok'
            when coalesce(t.image_id, t.instance_type, t.key_name, t.iam_instance_profile_arn, t.iam_instance_profile_name,
                          t.metadata_http_endpoint, cast(t.metadata_http_put_response_hop_limit as text),
                          cast(t.ebs_optimized as text), cast(t.monitoring_enabled as text),
                          cast(t.disable_api_termination as text), cast(t.associate_public_ip_address as text),
                          t.security_group_ids[1]) is null then 'skip'
            else 'alarm' end as status,
       t.launch_template_id || coalesce(' (' || t.launch_template_name || ')', '')
       || case when t.metadata_http_endpoint = 'disabled' then ' turns the metadata service off.'
               when t.metadata_http_tokens = 'required' then ' requires IMDSv2.'
               when t.metadata_http_tokens is not null then ' allows IMDSv1.'
               when s.metadata_http_tokens = 'required'
               then ' says nothing of IMDS, and ' || t.region || ' requires IMDSv2 by default.'
               when s.metadata_http_endpoint = 'disabled'
               then ' says nothing of IMDS, and ' || t.region || ' turns the metadata service off by default.'
               when coalesce(t.image_id, t.instance_type, t.key_name, t.iam_instance_profile_arn, t.iam_instance_profile_name,
                             t.metadata_http_endpoint, cast(t.metadata_http_put_response_hop_limit as text),
                             cast(t.ebs_optimized as text), cast(t.monitoring_enabled as text),
                             cast(t.disable_api_termination as text), cast(t.associate_public_ip_address as text),
                             t.security_group_ids[1]) is null
               then ' has a default version of which nothing was collected.'
               else ' says nothing of IMDS, so nothing requires IMDSv2.' end as reason,
       t.account_id, t.region
from aws_ec2_launch_template t
left join aws_ec2_regional_settings s on s.account_id = t.account_id and s.region = t.region
