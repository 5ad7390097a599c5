-- Where nothing at all is known of the default version, it could not be read.
select arn as resource,
       case when associate_public_ip_address then 'alarm'
            when associate_public_ip_address is not null then 'ok'
            when coalesce(image_id, instance_type, key_name, iam_instance_profile_arn, iam_instance_profile_name,
                          metadata_http_tokens, metadata_http_endpoint, cast(metadata_http_put_response_hop_limit as text),
                          cast(ebs_optimized as text), cast(monitoring_enabled as text),
                          cast(disable_api_termination as text), security_group_ids[1]) is null then 'skip'
            else 'ok' end as status,
       launch_template_id || coalesce(' (' || launch_template_name || ')', '')
       || case when associate_public_ip_address then ' gives its instances a public address.'
               when associate_public_ip_address is not null then ' gives its instances no public address.'
               when coalesce(image_id, instance_type, key_name, iam_instance_profile_arn, iam_instance_profile_name,
                             metadata_http_tokens, metadata_http_endpoint, cast(metadata_http_put_response_hop_limit as text),
                             cast(ebs_optimized as text), cast(monitoring_enabled as text),
                             cast(disable_api_termination as text), security_group_ids[1]) is null
               then ' has a default version of which nothing was collected.'
               else ' asks for no public address; the subnet decides.' end as reason,
       account_id, region
from aws_ec2_launch_template
