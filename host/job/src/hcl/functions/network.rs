//! Addresses and prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Parameter::{Number, Text};
use super::{Call, Function, function, variadic};
use crate::hcl::value::Value;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub(super) static FUNCTIONS: &[Function] = &[
    function("cidrhost", &[Text, Number], cidrhost),
    function("cidrnetmask", &[Text], |c| Ok(prefix(c)?.netmask().to_string().into())),
    function("cidrsubnet", &[Text, Number, Number], |c| {
        let (bits, number) = (c.whole(1)?, c.whole(2)?);
        if bits > FURTHEST {
            return Err(format!("may not extend prefix by more than {FURTHEST} bits"));
        }
        let number = u128::try_from(number).map_err(|_| "the network number must not be negative")?;
        Ok(subnet(prefix(c)?, bits, number)?.to_string().into())
    }),
    variadic("cidrsubnets", &[Text], Number, cidrsubnets),
];

/// Bits that `cidrsubnet` may extend a prefix by.
const FURTHEST: i64 = 32;

fn prefix(c: &Call) -> Result<IpNet, String> {
    read_prefix(c.text(0))
        .map(|net| net.trunc())
        .ok_or_else(|| format!("invalid CIDR expression: invalid CIDR address: {}", c.text(0)))
}

/// As Go reads it: zeros may lead the length, but no part of an address, which others would take for octal.
fn read_prefix(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let digits = !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_digit());
    IpNet::new(address.parse().ok()?, length.parse().ok().filter(|_| digits)?).ok()
}

/// The address of a network as a number, and how many bits it has.
fn number_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

fn address_of(number: u128, width: u8) -> IpAddr {
    if width == 32 {
        Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into()
    } else {
        Ipv6Addr::from(number).into()
    }
}

/// A negative number counts from the end of the prefix.
fn cidrhost(c: &Call) -> Result<Value, String> {
    let (net, host) = (prefix(c)?, c.whole(1)?);
    let (base, width) = number_of(net.addr());
    let bits = u32::from(width - net.prefix_len());
    let last = if bits == 128 { u128::MAX } else { (1u128 << bits) - 1 };
    let distance = u128::from(host.unsigned_abs());
    let offset = if host < 0 { last.checked_add(1).unwrap_or(last).checked_sub(distance) } else { Some(distance) };
    match offset {
        Some(offset) if offset <= last => Ok(address_of(base + offset, width).to_string().into()),
        _ => Err(format!("prefix of {} does not accommodate a host numbered {host}", net.prefix_len())),
    }
}

fn subnet(net: IpNet, bits: i64, number: u128) -> Result<IpNet, String> {
    let (base, width) = number_of(net.addr());
    let length = u8::try_from(i64::from(net.prefix_len()).saturating_add(bits))
        .ok()
        .filter(|length| *length <= width && bits >= 0)
        .ok_or_else(|| format!("insufficient address space to extend prefix of {} by {bits}", net.prefix_len()))?;
    let shift = u32::from(width - length);
    let room = u32::from(length - net.prefix_len());
    if room < 128 && number >> room != 0 {
        return Err(format!("prefix extension of {bits} does not accommodate a subnet numbered {number}"));
    }
    let address = base | number.checked_shl(shift).unwrap_or(0);
    made(address_of(address, width), length)
}

fn made(address: IpAddr, length: u8) -> Result<IpNet, String> {
    let net = match address {
        IpAddr::V4(address) => Ipv4Net::new(address, length).map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, length).map(IpNet::V6),
    };
    net.map_err(|error| error.to_string())
}

/// Consecutive subnets, each as much longer than the prefix as asked.
fn cidrsubnets(c: &Call) -> Result<Value, String> {
    let net = prefix(c)?;
    let (base, width) = number_of(net.addr());
    let bits = width - net.prefix_len();
    let mut next = 0u128;
    (1..c.arguments.len())
        .map(|index| -> Result<Value, String> {
            let extra = u8::try_from(c.whole(index)?).ok().filter(|extra| *extra > 0 && *extra <= bits);
            let extra = extra.ok_or_else(|| format!("must extend prefix by 1 to {bits} bits"))?;
            let size = 1u128.checked_shl(u32::from(bits - extra)).unwrap_or(0);
            let start = next.div_ceil(size.max(1)).saturating_mul(size);
            next = start.saturating_add(size);
            if bits < 128 && next > 1u128 << bits {
                return Err("not enough remaining address space for this subnet".to_owned());
            }
            made(address_of(base + start, width), net.prefix_len() + extra).map(|subnet| subnet.to_string().into())
        })
        .collect()
}
