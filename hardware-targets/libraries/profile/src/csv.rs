//! Rows as comma-separated values.

use std::fmt::Write;

use crate::measure::{OperatorCost, Profile};

const HEADER: &str = "part,operator,kernel,width,size,fp32_ms,int8_ms,ratio,fp32_spread_ms,\
    int8_spread_ms,alone_fp32_ms,alone_int8_ms,alone_ratio,noisy\n";

impl Profile {
    /// A header and a line for each row, which begins with `grid` or `sweep`. Columns are named
    /// as the fields of [`OperatorCost`]; `kernel` is empty where there is none.
    pub fn csv(&self) -> String {
        let mut text = HEADER.to_owned();
        let parts = [("grid", &self.grid), ("sweep", &self.sweep)];
        for (part, row) in parts.iter().flat_map(|(part, rows)| rows.iter().map(move |r| (part, r)))
        {
            let OperatorCost { operator, width, size, noisy, .. } = row;
            let kernel = row.kernel.map(|kernel| kernel.to_string()).unwrap_or_default();
            let _ = write!(text, "{part},{operator},{kernel},{width},{size}");
            for number in [
                row.fp32_ms,
                row.int8_ms,
                row.ratio,
                row.fp32_spread_ms,
                row.int8_spread_ms,
                row.alone_fp32_ms,
                row.alone_int8_ms,
                row.alone_ratio,
            ] {
                let _ = write!(text, ",{number:.6}");
            }
            let _ = writeln!(text, ",{noisy}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::latency::LatencySource;

    use crate::{Operator, Plan, profile, testing::Fake};

    #[test]
    fn every_row_is_a_line() {
        let operators = [Operator::Conv { kernel: 1 }, Operator::HSwish];
        let plan = Plan::default().with_grid(&operators, &[(14, 32)]).with_sweep(
            &operators[..1],
            7,
            &[8, 16],
        );
        let profile = profile(&plan, |queries| Fake.latencies(queries), |_, _, _| {}).unwrap();
        insta::assert_snapshot!(profile.csv(), @r"
        part,operator,kernel,width,size,fp32_ms,int8_ms,ratio,fp32_spread_ms,int8_spread_ms,alone_fp32_ms,alone_int8_ms,alone_ratio,noisy
        grid,conv1x1,1,32,14,0.627200,0.313600,2.000000,0.012544,0.006272,1.127200,0.813600,1.385447,false
        grid,h_swish,,32,14,0.627200,1.254400,0.500000,0.012544,0.025088,1.127200,1.754400,0.642499,false
        sweep,conv1x1,1,8,7,0.039200,0.039200,1.000000,0.000784,0.000784,0.539200,0.539200,1.000000,false
        sweep,conv1x1,1,16,7,0.078400,0.039200,2.000000,0.001568,0.000784,0.578400,0.539200,1.072700,false
        ");
    }
}
