-- What a default version does not say of IMDS the defaults of the region say: NULL there means that they were never set,
-- or may not be read. Where nothing at all is known of the default version, it could not be read.
select t.arn as resource,
       case when t.metadata_http_endpoint = 'disabled' or t.metadata_http_tokens = 'required' then 'ok'
            when t.metadata_http_tokens is not null then 'alarm'
            when s.metadata_http_tokens = 'required' then 'ok'
            when s.metadata_http_endpoint = 'disabled' and t.metadata_http_endpoint is null then 'ok'
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
               then ' does not say whether it requires IMDSv2; ' || t.region || ' requires it by default.'
               when s.metadata_http_endpoint = 'disabled' and t.metadata_http_endpoint is null
               then ' does not turn the metadata service on, and ' || t.region || ' turns it off by default.'
               when coalesce(t.image_id, t.instance_type, t.key_name, t.iam_instance_profile_arn, t.iam_instance_profile_name,
                             t.metadata_http_endpoint, cast(t.metadata_http_put_response_hop_limit as text),
                             cast(t.ebs_optimized as text), cast(t.monitoring_enabled as text),
                             cast(t.disable_api_termination as text), cast(t.associate_public_ip_address as text),
                             t.security_group_ids[1]) is null
               then ' has a default version of which nothing was collected.'
               else ' does not say that it requires IMDSv2, and no default of ' || t.region || ' requires it.' end as reason,
       t.account_id, t.region
from aws_ec2_launch_template t
left join aws_ec2_regional_settings s on s.account_id = t.account_id and s.region = t.region
