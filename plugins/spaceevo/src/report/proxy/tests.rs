use super::{
    publish::{series, table},
    *,
};
use crate::hyperspaces;

/// Subnets of a space with these losses of their one stage and accuracies.
fn sampled(name: &str, position: usize, judged: &[(f64, f64)]) -> SampledSubnets {
    let hyperspace = hyperspaces::built_in("mini").unwrap();
    let stages = hyperspace.uniform_spaces()[0].elastic_stages(&hyperspace);
    let subnet = Subnet::smallest(&stages, &hyperspace.resolutions);
    SampledSubnets {
        name: name.into(),
        space: hyperspace.uniform_spaces().swap_remove(position),
        subnets: vec![subnet; judged.len()],
        multiply_adds: (1..=judged.len() as u64).collect(),
        losses: judged.iter().map(|(loss, _)| vec![*loss]).collect(),
        accuracies: judged.iter().map(|(_, accuracy)| *accuracy).collect(),
    }
}

fn report(spaces: &[SampledSubnets]) -> ProxyReport {
    ProxyReport::new(vec!["stage1".into()], &[vec![1.0, 0.1, 0.1, 1.0, 1.0]], 0.5, spaces)
}

/// Losses rank the spaces, but the subnets of each the wrong way round, one of the last space excepted.
#[test]
fn agreement_over_all_spaces_comes_from_pairs_within_and_between() {
    let spaces = [
        sampled("found", 0, &[(1.0, 0.9), (1.0, 0.9), (1.1, 0.91), (1.2, 0.92)]),
        sampled("random", 1, &[(2.1, 0.81), (2.2, 0.82)]),
        sampled("resnet", 2, &[(3.1, 0.71), (3.2, 0.72), (3.3, 0.7)]),
    ];
    let report = report(&spaces);
    assert_eq!((report.fitted.n, report.held_out.n, report.second.n), (2, 2, 2));
    assert_eq!((report.manual.len(), report.manual[0].n, report.all.n), (1, 3, 7));
    assert_eq!(report.second.raw.kendall_tau, Some(-1.0));
    assert_eq!(report.second.multiply_adds.kendall_tau, Some(1.0), "of the larger more is right");
    let PairParts { within, between } = report.parts.raw;
    assert_eq!((within.pairs, within.kendall_tau), (5, Some(-0.2)));
    assert_eq!((between.pairs, between.kendall_tau), (16, Some(1.0)));
    assert!(within.interval.is_some());
    assert_eq!(between.interval, None, "in all spaces alike");
    assert_eq!(report.second.raw.interval, None, "of two subnets");
    let interval = report.all.raw.interval.unwrap();
    assert!(interval.low <= report.all.raw.kendall_tau.unwrap() && interval.high <= 1.0);
    let sum = within.contribution.unwrap() + between.contribution.unwrap();
    assert!((sum - report.all.raw.kendall_tau.unwrap()).abs() < 1e-12);
    let names: Vec<String> = series(&report).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "mini-0000-0000, fitted",
        "mini-0000-0000, held out",
        "mini-0000-1111, random",
        "mini-1111-0000, resnet",
    ];
    assert_eq!(names, expected);
}

#[test]
fn every_subnet_is_a_line_of_the_table() {
    let spaces = [
        sampled("found", 0, &[(1.0, 0.9), (1.5, 0.8)]),
        sampled("random", 1, &[(2.0, 0.75)]),
        sampled("residual, \"deep\"", 2, &[(2.5, 0.5)]),
    ];
    let subnet = spaces[0].subnets[0].to_string();
    let expected = [
        "part,name,space,subnet,multiply_adds,stage1,loss,corrected_loss,weighted_loss,accuracy",
        &format!("fitted,found,mini-0000-0000,{subnet},1,1,1,1,1,0.9"),
        &format!("held out,found,mini-0000-0000,{subnet},2,1.5,1.5,1.5,1.5,0.8"),
        &format!("second space,random,mini-0000-1111,{subnet},1,2,2,2,2,0.75"),
        &format!(
            "manual space,\"residual, \"\"deep\"\"\",mini-1111-0000,{subnet},1,2.5,2.5,0.25,0.25,0.5"
        ),
    ];
    assert_eq!(table(&report(&spaces)).unwrap().lines().collect::<Vec<_>>(), expected);
}
