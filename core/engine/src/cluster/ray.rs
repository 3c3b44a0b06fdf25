//! Ray, through its Jobs API: a job for each task, whose name the head chooses.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::{Agent, http::StatusCode};

use super::{
    Batch, ClusterEngine, ClusterError, ClusterSettings, Job, JobState, Submission, shell::quoted,
};

/// What the engine is called.
const NAME: &str = "Ray";

/// A dashboard that is busy starting processes takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How Ray ends what it says, as an internal error, while no machine takes jobs yet: those of a cluster that has
/// just started do so seconds after its dashboard answers.
const LATER: &str = "please try again later";

/// The Ray whose dashboard has this address.
pub(super) struct Ray {
    address: String,
    cpus: usize,
    agent: Agent,
}

/// What is read of a job.
#[derive(Deserialize)]
struct Details {
    status: String,
    #[serde(default)]
    message: Option<String>,
    /// Of the agent on the job's machine: `http://10.0.0.7:52365`.
    #[serde(default)]
    driver_agent_http_address: Option<String>,
}

impl Ray {
    pub fn new(settings: &ClusterSettings) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        let address = settings.address.trim_end_matches('/').to_owned();
        Self { address, cpus: settings.cpus, agent: config.into() }
    }

    fn engine(&self) -> String {
        format!("{NAME} at {}", self.address)
    }

    fn no_answer(&self, error: &ureq::Error) -> ClusterError {
        ClusterError::NoAnswer { engine: self.engine(), reason: error.to_string() }
    }

    fn get(&self, path: &str) -> Result<(StatusCode, String), ClusterError> {
        let answer = self.agent.get(format!("{}{path}", self.address)).call();
        self.read(answer)
    }

    fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, String), ClusterError> {
        let request = self.agent.post(format!("{}{path}", self.address));
        let answer = request.content_type("application/json").send(body.to_string());
        self.read(answer)
    }

    fn read(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(StatusCode, String), ClusterError> {
        let mut answer = answer.map_err(|error| self.no_answer(&error))?;
        let text = answer.body_mut().read_to_string().map_err(|error| self.no_answer(&error))?;
        Ok((answer.status(), text))
    }

    /// The text of an answer that is neither an error nor a job that Ray does not know.
    fn expect(&self, (status, text): (StatusCode, String)) -> Result<Option<String>, ClusterError> {
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(text)),
            // As a dashboard says it that has lost its connection to the cluster.
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(ClusterError::NoAnswer { engine: self.engine(), reason: status.to_string() })
            }
            _ => {
                // The last line of a traceback says what it is.
                let said = text.trim().lines().last().unwrap_or_default();
                let (engine, reason) = (self.engine(), format!("{status}: {said}"));
                Err(match said.trim_end_matches('.').ends_with(LATER) {
                    true => ClusterError::NoAnswer { engine, reason },
                    false => ClusterError::Refused { engine, reason },
                })
            }
        }
    }

    fn job(&self, batch: &Batch, number: usize) -> Result<Option<Job>, ClusterError> {
        let id = id(batch, number);
        let Some(text) = self.expect(self.get(&format!("/api/jobs/{id}"))?)? else {
            return Ok(None);
        };
        let details: Details =
            serde_json::from_str(&text).map_err(|_| ClusterError::answer(&self.engine(), &text))?;
        Ok(Some(Job { batch: batch.name.clone(), number, id, state: details.state() }))
    }
}

impl Details {
    fn state(self) -> JobState {
        // The last line of several says what it is.
        let message = self.message.unwrap_or_default();
        let message = message.trim().lines().last().unwrap_or_default().trim().to_owned();
        match self.status.as_str() {
            "PENDING" => JobState::Waiting { reason: message },
            "RUNNING" => {
                let agent = self.driver_agent_http_address.unwrap_or_default();
                let place = agent.trim_start_matches("http://");
                let machine = place.rsplit_once(':').map_or(place, |(machine, _)| machine);
                JobState::Running { node: machine.to_owned() }
            }
            status => JobState::Ended { reason: format!("{status}: {message}") },
        }
    }
}

/// What a job is called: no other one is, and the head knows it before it submits the job.
fn id(batch: &Batch, number: usize) -> String {
    format!("{}-{number}", batch.name)
}

impl ClusterEngine for Ray {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), ClusterError> {
        let engine = self.engine();
        match self.expect(self.get("/api/version")?)? {
            Some(_) => Ok(()),
            None => Err(ClusterError::Refused { engine, reason: "it has no Jobs API".into() }),
        }
    }

    fn limits_batches(&self) -> bool {
        false
    }

    fn submit(&self, submission: &Submission<'_>) -> Result<(), ClusterError> {
        for (number, (line, log)) in submission.lines.iter().zip(&submission.logs).enumerate() {
            let log = quoted(&log.display().to_string());
            let folder = quoted(&submission.folder.display().to_string());
            let job = json!({
                "submission_id": id(submission.batch, number),
                "entrypoint": format!("cd {folder} && {line} >>{log} 2>&1"),
                "entrypoint_num_cpus": self.cpus,
            });
            if self.expect(self.post("/api/jobs/", &job)?)?.is_none() {
                let reason = "it has no Jobs API".into();
                return Err(ClusterError::Refused { engine: self.engine(), reason });
            }
        }
        Ok(())
    }

    fn jobs(&self, batches: &[&Batch]) -> Result<Vec<Job>, ClusterError> {
        let mut jobs = Vec::new();
        for batch in batches {
            for number in 0..batch.tasks.len() {
                jobs.extend(self.job(batch, number)?);
            }
        }
        Ok(jobs)
    }

    fn cancel(&self, batch: &Batch, numbers: &[usize]) -> Result<(), ClusterError> {
        for number in numbers {
            let path = format!("/api/jobs/{}/stop", id(batch, *number));
            self.expect(self.post(&path, &json!({}))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;

    /// Gives these answers, one after the other; the requests that it got: first line and body.
    fn server(answers: &'static [(&str, &str)]) -> (Ray, JoinHandle<Vec<(String, String)>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let serve = move || {
            let answer = |(status, body): &(&str, &str)| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut first).unwrap();
                while reader.read_line(&mut line).unwrap() > 2 {
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut request = vec![0; length];
                reader.read_exact(&mut request).unwrap();
                let size = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}"
                )
                .unwrap();
                (first.trim().to_owned(), String::from_utf8(request).unwrap())
            };
            answers.iter().map(answer).collect()
        };
        let ray = Ray::new(&ClusterSettings { address, cpus: 2, ..Default::default() });
        (ray, thread::spawn(serve))
    }

    fn batch() -> Batch {
        let tasks = ["t0", "t1", "t2"].map(str::to_owned).to_vec();
        Batch { name: "sw-a".into(), engine: NAME.into(), tasks }
    }

    #[test]
    fn jobs_are_asked_for_by_the_names_that_they_were_given() {
        let (ray, requests) = server(&[
            (
                "200 OK",
                r#"{"status": "RUNNING", "message": "…", "driver_agent_http_address": "http://10.0.0.7:52365"}"#,
            ),
            ("404 Not Found", "Job sw-a-1 does not exist"),
            (
                "200 OK",
                r#"{"status": "FAILED", "message": "It died:\n\tits node died\n", "driver_agent_http_address": null}"#,
            ),
        ]);
        let jobs = ray.jobs(&[&batch()]).unwrap();
        let states: Vec<(&str, &JobState)> =
            jobs.iter().map(|job| (job.id.as_str(), &job.state)).collect();
        let running = JobState::Running { node: "10.0.0.7".into() };
        let ended = JobState::Ended { reason: "FAILED: its node died".into() };
        assert_eq!(states, [("sw-a-0", &running), ("sw-a-2", &ended)]);
        assert_eq!(requests.join().unwrap()[1].0, "GET /api/jobs/sw-a-1 HTTP/1.1");
    }

    #[test]
    fn a_job_runs_its_line_and_asks_for_cores() {
        let (ray, requests) = server(&[("200 OK", r#"{"submission_id": "sw-a-0"}"#)]);
        let batch = Batch { tasks: vec!["t0".into()], ..batch() };
        let submission = Submission {
            batch: &batch,
            lines: vec!["exec env true".into()],
            logs: vec!["/runs/a b/log".into()],
            folder: "/runs".as_ref(),
        };
        ray.submit(&submission).unwrap();
        let (line, body) = requests.join().unwrap().remove(0);
        assert_eq!(line, "POST /api/jobs/ HTTP/1.1");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["submission_id"], "sw-a-0");
        assert_eq!(body["entrypoint"], "cd /runs && exec env true >>'/runs/a b/log' 2>&1");
        assert_eq!(body["entrypoint_num_cpus"], 2);
    }

    #[test]
    fn what_a_later_try_may_mend_is_told_from_a_refusal() {
        let (ray, requests) = server(&[
            ("503 Service Unavailable", ""),
            ("500 Internal Server Error", "Traceback\n  …\nValueError: no such resource\n"),
            (
                "500 Internal Server Error",
                "Traceback\n  …\nException: No available agent to submit job, please try again later.\n",
            ),
            ("200 OK", "no JSON"),
            ("200 OK", r#"{"stopped": true}"#),
            ("404 Not Found", ""),
        ]);
        assert!(ray.check().unwrap_err().passes());
        let refused = ray.check().unwrap_err();
        assert!(!refused.passes());
        assert!(refused.to_string().ends_with("ValueError: no such resource"), "{refused}");
        assert!(ray.check().unwrap_err().passes());
        assert!(ray.jobs(&[&batch()]).unwrap_err().passes());
        // One of them was over.
        ray.cancel(&batch(), &[0, 2]).unwrap();
        requests.join().unwrap();
        assert!(ray.check().unwrap_err().passes());
    }
}
