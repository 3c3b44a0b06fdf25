//! What holds of every call that answers a list of questions.

use super::item::{ItemVerdicts, Objection, guarded, require};

/// Asks a plugin a list of questions.
pub(super) type Ask<'a, Q, A> = &'a dyn Fn(&[Q]) -> Result<Vec<A>, Objection>;

/// A call of a plugin: a list of questions in, one answer each out.
pub(super) struct Call<'a, Q, A> {
    /// First part of the names of its checks.
    pub name: String,
    /// Asks the plugin.
    pub ask: Ask<'a, Q, A>,
    /// Names a question in reasons.
    pub show: &'a dyn Fn(&Q) -> String,
}

impl<Q, A: PartialEq> Call<'_, Q, A> {
    fn check_name(&self, check: &str) -> String {
        format!("{}: {check}", self.name)
    }

    /// Asks; another number of answers than questions is an error.
    fn counted(&self, questions: &[Q]) -> Result<Vec<A>, Objection> {
        let answers = guarded(|| (self.ask)(questions))??;
        require(answers.len() == questions.len(), || {
            format!("{} answers to {} questions", answers.len(), questions.len())
        })?;
        Ok(answers)
    }

    /// The answer to a question that is asked alone.
    pub fn alone(&self, question: &Q) -> Result<A, Objection> {
        Ok(self.counted(std::slice::from_ref(question))?.remove(0))
    }

    /// The culprit where a batch gets no answers: the first question that gets none alone.
    fn culprit(&self, questions: &[Q]) -> Option<String> {
        questions.iter().find_map(|question| {
            let reason = self.alone(question).err()?;
            Some(format!("{}: {reason}", (self.show)(question)))
        })
    }

    /// The answers to a batch; nothing if there is not one for each question.
    pub fn answers(&self, item: &mut ItemVerdicts<'_>, questions: &[Q]) -> Option<Vec<A>> {
        item.ask(&self.check_name("one answer to each question"), || {
            self.counted(questions).map_err(|reason| {
                let batch = || format!("a batch of {}: {reason}", questions.len());
                self.culprit(questions).unwrap_or_else(batch)
            })
        })
    }

    /// Judges each answer; whether all are good.
    pub fn each(
        &self,
        item: &mut ItemVerdicts<'_>,
        check: &str,
        questions: &[Q],
        answers: &[A],
        judge: impl Fn(&Q, &A) -> Result<(), Objection>,
    ) -> bool {
        item.check(&self.check_name(check), || {
            questions.iter().zip(answers).try_for_each(|(question, answer)| {
                judge(question, answer)
                    .map_err(|reason| format!("{}: {reason}", (self.show)(question)))
            })
        })
    }

    /// That an answer depends on its question only: asked again, and asked alone. A plugin that
    /// answers differently every time is blamed once.
    pub fn depends_on_question_only(
        &self,
        item: &mut ItemVerdicts<'_>,
        questions: &[Q],
        answers: &[A],
    ) -> bool {
        let same = |question: &Q, answer: &A, again: &A| {
            let differs = || format!("{}: a different answer", (self.show)(question));
            require(answer == again, differs)
        };
        let asked = || questions.iter().zip(answers);
        item.check(&self.check_name("the same answer when asked again"), || {
            let again = self.counted(questions)?;
            asked().zip(&again).try_for_each(|((q, answer), again)| same(q, answer, again))
        }) && item.check(&self.check_name("the same answer alone as in a batch"), || {
            asked().try_for_each(|(q, answer)| same(q, answer, &self.alone(q)?))
        })
    }

    /// That nothing asked is nothing answered.
    pub fn takes_no_question(&self, item: &mut ItemVerdicts<'_>) {
        item.check(&self.check_name("no answer to no question"), || self.counted(&[]).map(drop));
    }
}
