//! The stack machine that a pickle is a program for.

use std::collections::BTreeMap;

use super::{
    MOST_DIMENSIONS, MOST_OPERATIONS, PickleError, Problem,
    operation::{Bytes, Operation},
    value::{DictId, Global, ListId, StorageId, StorageSpec, TensorId, TensorSpec, TupleId, Value},
};

/// What a pickle was made into.
#[derive(Debug)]
pub(crate) struct Pickle<'f> {
    /// The value that it ends with.
    pub value: Value<'f>,
    /// Where the file goes on.
    pub end: usize,
    objects: Objects<'f>,
}

impl<'f> Pickle<'f> {
    /// The items of a dictionary, in the order of the file; `None` of a value that is none.
    pub(crate) fn dict(&self, value: Value<'f>) -> Option<&[(Value<'f>, Value<'f>)]> {
        let Value::Dict(DictId(id)) = value else { return None };
        self.objects.dicts.get(id).map(Vec::as_slice)
    }

    /// The items of a list.
    pub(crate) fn list(&self, value: Value<'f>) -> Option<&[Value<'f>]> {
        let Value::List(ListId(id)) = value else { return None };
        self.objects.lists.get(id).map(Vec::as_slice)
    }

    /// A tensor, and what it is a part of.
    pub(crate) fn tensor(&self, TensorId(id): TensorId) -> Option<(&TensorSpec, &StorageSpec<'f>)> {
        let tensor = self.objects.tensors.get(id)?;
        Some((tensor, self.objects.storages.get(tensor.storage.0)?))
    }

    /// All storages that were named.
    pub(crate) fn storages(&self) -> &[StorageSpec<'f>] {
        &self.objects.storages
    }
}

/// Values that hold others, by their numbers.
#[derive(Debug, Default)]
struct Objects<'f> {
    tuples: Vec<Vec<Value<'f>>>,
    lists: Vec<Vec<Value<'f>>>,
    dicts: Vec<Vec<(Value<'f>, Value<'f>)>>,
    storages: Vec<StorageSpec<'f>>,
    tensors: Vec<TensorSpec>,
}

#[derive(Default)]
struct Machine<'f> {
    stack: Vec<Value<'f>>,
    /// How long the stack was at each mark that is open.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'f>>,
    objects: Objects<'f>,
}

/// The pickle that begins at `start`.
pub(crate) fn load(content: &[u8], start: usize) -> Result<Pickle<'_>, PickleError> {
    let mut bytes = Bytes::new(content, start);
    let mut machine = Machine::default();
    for _ in 0..MOST_OPERATIONS {
        let (at, operation) = bytes.operation()?;
        let wrong = |problem| PickleError { at, problem };
        if operation == Operation::Stop {
            let value = machine.pop().map_err(wrong)?;
            return Ok(Pickle { value, end: bytes.at(), objects: machine.objects });
        }
        machine.run(operation).map_err(wrong)?;
    }
    Err(PickleError { at: bytes.at(), problem: Problem::Operations })
}

impl<'f> Machine<'f> {
    fn run(&mut self, operation: Operation<'f>) -> Result<(), Problem> {
        match operation {
            Operation::Protocol | Operation::Stop => {}
            Operation::Mark => self.marks.push(self.stack.len()),
            Operation::None => self.stack.push(Value::None),
            Operation::Bool(value) => self.stack.push(Value::Bool(value)),
            Operation::Int(value) => self.stack.push(Value::Int(value)),
            Operation::Long(bytes) => self.stack.push(Value::Long(bytes)),
            Operation::Text(text) => self.stack.push(Value::Text(text)),
            Operation::Global { module, name } => {
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            Operation::EmptyTuple => self.push_tuple(Vec::new()),
            Operation::EmptyList => {
                self.objects.lists.push(Vec::new());
                self.stack.push(Value::List(ListId(self.objects.lists.len() - 1)));
            }
            Operation::EmptyDict => self.push_dict(),
            Operation::ShortTuple(length) => {
                let items = self.since(self.stack.len().checked_sub(length))?;
                self.push_tuple(items);
            }
            Operation::Tuple => {
                let items = self.since_mark()?;
                self.push_tuple(items);
            }
            Operation::Appends => {
                let mut items = self.since_mark()?;
                match self.top()? {
                    Value::List(ListId(id)) => {
                        self.objects.lists.get_mut(id).ok_or(Problem::Stack)?.append(&mut items);
                    }
                    other => return Err(other.is_not("a list")),
                }
            }
            Operation::SetItem => {
                let items = self.since(self.stack.len().checked_sub(2))?;
                self.set_items(&items)?;
            }
            Operation::SetItems => {
                let items = self.since_mark()?;
                self.set_items(&items)?;
            }
            Operation::Put(id) => {
                let value = self.top()?;
                self.memo.insert(id, value);
            }
            Operation::Get(id) => {
                self.stack.push(*self.memo.get(&id).ok_or(Problem::Memo(id))?);
            }
            Operation::Reduce => self.call()?,
            Operation::Build => {
                // Attributes of a dictionary, such as versions of modules: not needed.
                self.pop()?;
                let top = self.top()?;
                if !matches!(top, Value::Dict(_)) {
                    return Err(top.is_not("a dictionary"));
                }
            }
            Operation::PersistentId => self.storage()?,
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'f>, Problem> {
        // Nothing below an open mark belongs to what comes after it.
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or(Problem::Stack),
            false => Err(Problem::Stack),
        }
    }

    fn top(&self) -> Result<Value<'f>, Problem> {
        self.stack.last().copied().ok_or(Problem::Stack)
    }

    /// What lies on the stack from here on.
    fn since(&mut self, from: Option<usize>) -> Result<Vec<Value<'f>>, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let from = from.filter(|from| (floor..=self.stack.len()).contains(from));
        Ok(self.stack.split_off(from.ok_or(Problem::Stack)?))
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'f>>, Problem> {
        let mark = self.marks.pop().ok_or(Problem::Mark)?;
        self.since(Some(mark))
    }

    fn push_tuple(&mut self, items: Vec<Value<'f>>) {
        self.objects.tuples.push(items);
        self.stack.push(Value::Tuple(TupleId(self.objects.tuples.len() - 1)));
    }

    fn push_dict(&mut self) {
        self.objects.dicts.push(Vec::new());
        self.stack.push(Value::Dict(DictId(self.objects.dicts.len() - 1)));
    }

    fn tuple(&self, value: Value<'f>) -> Result<&[Value<'f>], Problem> {
        match value {
            Value::Tuple(TupleId(id)) => {
                self.objects.tuples.get(id).map(Vec::as_slice).ok_or(Problem::Stack)
            }
            other => Err(other.is_not("a tuple")),
        }
    }

    /// A tuple of sizes. Any number of tensors can share one, and each keeps its own.
    fn sizes(&self, value: Value<'f>) -> Result<Vec<usize>, Problem> {
        match self.tuple(value)? {
            sizes if sizes.len() > MOST_DIMENSIONS => Err(Problem::Dimensions(sizes.len())),
            sizes => sizes.iter().map(|size| size.size()).collect(),
        }
    }

    fn set_items(&mut self, items: &[Value<'f>]) -> Result<(), Problem> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Problem::OddItems);
        }
        match self.top()? {
            Value::Dict(DictId(id)) => {
                let dict = self.objects.dicts.get_mut(id).ok_or(Problem::Stack)?;
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            other => Err(other.is_not("a dictionary")),
        }
    }

    /// The two names that may be called.
    fn call(&mut self) -> Result<(), Problem> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        match (callee, self.tuple(arguments)?) {
            (Value::Global(Global::OrderedDict), []) => self.push_dict(),
            (Value::Global(Global::OrderedDict), _) => {
                return Err(arguments.is_not("no arguments of an ordered dictionary"));
            }
            // Whether it learns, and what is called when it does, do not matter.
            (
                Value::Global(Global::RebuildTensor),
                &[Value::Storage(storage), offset, shape, strides, _, _],
            ) => {
                let offset = offset.size()?;
                let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
                self.objects.tensors.push(TensorSpec { storage, offset, shape, strides });
                self.stack.push(Value::Tensor(TensorId(self.objects.tensors.len() - 1)));
            }
            (Value::Global(Global::RebuildTensor), _) => {
                return Err(arguments.is_not("a storage, offset, shape, strides and two more"));
            }
            (other, _) => return Err(other.is_not("a name that can be called")),
        }
        Ok(())
    }

    /// What `torch.save` writes for a storage: its kind, type, key, device and size.
    fn storage(&mut self) -> Result<(), Problem> {
        const EXPECTED: &str = "the description of a whole storage";
        let description = self.pop()?;
        let spec = match self.tuple(description)? {
            &[
                Value::Text("storage"),
                Value::Global(Global::Storage(element)),
                key,
                _,
                size,
                Value::None,
            ] => StorageSpec { element, key: key.text()?, elements: size.size()? },
            _ => return Err(description.is_not(EXPECTED)),
        };
        self.objects.storages.push(spec);
        self.stack.push(Value::Storage(StorageId(self.objects.storages.len() - 1)));
        Ok(())
    }
}
