-- Where nothing at all is known of the default version (`said` is NULL), it could not be read.
with templates as (
  select arn, launch_template_id || coalesce(' (' || launch_template_name || ')', '') as name, associate_public_ip_address,
         coalesce(metadata_http_tokens, metadata_http_endpoint, image_id, instance_type, key_name,
                  iam_instance_profile_arn, iam_instance_profile_name, security_group_ids[1],
                  cast(metadata_http_put_response_hop_limit as text), cast(ebs_optimized as text),
                  cast(monitoring_enabled as text), cast(disable_api_termination as text),
                  cast(associate_public_ip_address as text)) as said,
         account_id, region
  from aws_ec2_launch_template
)
select arn as resource,
       case when said is null then 'skip' when associate_public_ip_address then 'alarm' else 'ok' end as status,
       name
       || case when said is null then ' has a default version of which nothing was collected.'
               when associate_public_ip_address then ' gives its instances a public address.'
               when associate_public_ip_address is null then ' asks for no public address; the subnet decides.'
               else ' gives its instances no public address.' end as reason,
       account_id, region
from templates
