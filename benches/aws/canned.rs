//! Instances as AWS describes them, made of their numbers.

use std::fmt::Write;

/// How many instances a page has.
pub(crate) const PAGE: u64 = 1000;
/// What stands for an instance's number, in eight hexadecimal digits.
const NUMBER: &str = "@NUMBER@";
/// What stands for its type.
const TYPE: &str = "@TYPE@";

/// A reservation with one instance, with two block devices and a network interface, as AWS describes those that have
/// everything.
const RESERVATION: &str = "<item><reservationId>r-0@NUMBER@</reservationId><ownerId>123456789012</ownerId><groupSet/>\
<instancesSet><item><instanceId>i-0@NUMBER@</instanceId><imageId>ami-0123456789abcdef0</imageId><instanceState><code>16</code>\
<name>running</name></instanceState><privateDnsName>ip-10-0-@NUMBER@.ec2.internal</privateDnsName>\
<dnsName>ec2-@NUMBER@.compute-1.amazonaws.com</dnsName><reason/><keyName>fleet</keyName><amiLaunchIndex>0</amiLaunchIndex>\
<productCodes/><instanceType>@TYPE@</instanceType><launchTime>2026-03-04T05:06:07.000Z</launchTime><placement>\
<availabilityZone>us-east-1a</availabilityZone><groupName/><tenancy>default</tenancy></placement><monitoring>\
<state>disabled</state></monitoring><subnetId>subnet-0123456789abcdef0</subnetId><vpcId>vpc-0123456789abcdef0</vpcId>\
<privateIpAddress>10.0.0.7</privateIpAddress><ipAddress>198.51.100.7</ipAddress><sourceDestCheck>true</sourceDestCheck>\
<groupSet><item><groupId>sg-0123456789abcdef0</groupId><groupName>web</groupName></item><item>\
<groupId>sg-0123456789abcdef1</groupId><groupName>internal</groupName></item></groupSet><architecture>x86_64</architecture>\
<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping><item>\
<deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0a@NUMBER@</volumeId><status>attached</status>\
<attachTime>2026-03-04T05:06:08.000Z</attachTime><deleteOnTermination>true</deleteOnTermination></ebs></item><item>\
<deviceName>/dev/sdf</deviceName><ebs><volumeId>vol-0b@NUMBER@</volumeId><status>attached</status>\
<attachTime>2026-03-04T05:06:09.000Z</attachTime><deleteOnTermination>false</deleteOnTermination></ebs></item>\
</blockDeviceMapping><virtualizationType>hvm</virtualizationType><clientToken>token-@NUMBER@</clientToken><tagSet><item>\
<key>Name</key><value>web-@NUMBER@</value></item><item><key>env</key><value>prod</value></item><item><key>team</key>\
<value>platform</value></item><item><key>cost-center</key><value>4711</value></item></tagSet><hypervisor>xen</hypervisor>\
<networkInterfaceSet><item><networkInterfaceId>eni-0@NUMBER@</networkInterfaceId><subnetId>subnet-0123456789abcdef0</subnetId>\
<vpcId>vpc-0123456789abcdef0</vpcId><description>Primary network interface</description><ownerId>123456789012</ownerId>\
<status>in-use</status><macAddress>02:00:00:00:00:01</macAddress><privateIpAddress>10.0.0.7</privateIpAddress>\
<privateDnsName>ip-10-0-@NUMBER@.ec2.internal</privateDnsName><sourceDestCheck>true</sourceDestCheck><groupSet><item>\
<groupId>sg-0123456789abcdef0</groupId><groupName>web</groupName></item></groupSet><attachment>\
<attachmentId>eni-attach-0@NUMBER@</attachmentId><deviceIndex>0</deviceIndex><status>attached</status>\
<attachTime>2026-03-04T05:06:07.000Z</attachTime><deleteOnTermination>true</deleteOnTermination><networkCardIndex>0\
</networkCardIndex></attachment><association><publicIp>198.51.100.7</publicIp>\
<publicDnsName>ec2-@NUMBER@.compute-1.amazonaws.com</publicDnsName><ipOwnerId>amazon</ipOwnerId></association>\
<privateIpAddressesSet><item><privateIpAddress>10.0.0.7</privateIpAddress>\
<privateDnsName>ip-10-0-@NUMBER@.ec2.internal</privateDnsName><primary>true</primary><association>\
<publicIp>198.51.100.7</publicIp><publicDnsName>ec2-@NUMBER@.compute-1.amazonaws.com</publicDnsName>\
<ipOwnerId>amazon</ipOwnerId></association></item></privateIpAddressesSet><ipv6AddressesSet/>\
<interfaceType>interface</interfaceType></item></networkInterfaceSet><iamInstanceProfile>\
<arn>arn:aws:iam::123456789012:instance-profile/web</arn><id>AIPAEXAMPLE</id></iamInstanceProfile>\
<ebsOptimized>true</ebsOptimized><enaSupport>true</enaSupport><cpuOptions><coreCount>1</coreCount>\
<threadsPerCore>2</threadsPerCore></cpuOptions><capacityReservationSpecification>\
<capacityReservationPreference>open</capacityReservationPreference></capacityReservationSpecification><hibernationOptions>\
<configured>false</configured></hibernationOptions><enclaveOptions><enabled>false</enabled></enclaveOptions><metadataOptions>\
<state>applied</state><httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit>\
<httpEndpoint>enabled</httpEndpoint><httpProtocolIpv6>disabled</httpProtocolIpv6>\
<instanceMetadataTags>disabled</instanceMetadataTags></metadataOptions><platformDetails>Linux/UNIX</platformDetails>\
<usageOperation>RunInstances</usageOperation><usageOperationUpdateTime>2026-03-04T05:06:07.000Z</usageOperationUpdateTime>\
<privateDnsNameOptions><hostnameType>ip-name</hostnameType><enableResourceNameDnsARecord>false</enableResourceNameDnsARecord>\
</privateDnsNameOptions><maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions>\
<currentInstanceBootMode>legacy-bios</currentInstanceBootMode></item></instancesSet></item>";

/// The id of an instance.
pub(crate) fn id(number: u64) -> String {
    format!("i-0{number:08x}")
}

/// The number of an instance.
pub(crate) fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("i-0")?, 16).ok()
}

/// An answer with these instances, and the token of the next page. `changed` are those of another type.
pub(crate) fn answer(numbers: impl Iterator<Item = u64>, changed: &[u64], next: Option<u64>) -> String {
    let parts: Vec<&str> = RESERVATION.split(NUMBER).collect();
    let mut text = String::with_capacity(RESERVATION.len() * (PAGE as usize + 1));
    text.push_str("<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet>");
    for number in numbers {
        let kind = if changed.contains(&number) { "m7i.large" } else { "t3.small" };
        let shown = format!("{number:08x}");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                text.push_str(&shown);
            }
            match part.split_once(TYPE) {
                Some((before, after)) => text.extend([before, kind, after]),
                None => text.push_str(part),
            }
        }
    }
    text.push_str("</reservationSet>");
    if let Some(next) = next {
        // Text cannot fail to be written.
        let _ = write!(text, "<nextToken>{next}</nextToken>");
    }
    text.push_str("</DescribeInstancesResponse>");
    text
}
