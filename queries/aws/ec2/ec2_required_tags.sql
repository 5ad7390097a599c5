-- Keys count, not values; keys of AWS tags distinguish upper and lower case.
select arn as resource,
       case when cardinality($tags) = 0 or tags is null then 'skip'
            when cardinality(array_except($tags, map_keys(tags))) = 0 then 'ok'
            else 'alarm' end as status,
       case when cardinality($tags) = 0 then 'No tags are required of ' || instance_id || '.'
            when tags is null then 'The tags of ' || instance_id || ' were not collected.'
            when cardinality(array_except($tags, map_keys(tags))) = 0 then instance_id || ' has all required tags.'
            else instance_id || ' lacks '
                 || coalesce(array_to_string(array_sort(array_except($tags, map_keys(tags))), ', '), 'tags') || '.'
       end as reason,
       account_id, region
from aws_ec2_instance
where coalesce(instance_state, '') not in ('terminated', 'shutting-down')
