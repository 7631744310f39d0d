use super::*;

#[test]
fn a_member_that_stands_twice_is_refused() {
    assert_eq!(
        parse(r#"{"a":{"b":1,"b":2}}"#),
        Err("member `b` stands twice at line 1 column 18".to_owned())
    );
}

#[test]
fn a_plain_document_is_read_as_it_is() {
    let text = r#"{"a":[1,-2,0.5,null,true,"x"]}"#;
    assert_eq!(parse(text), Ok(text.to_owned()));
}

#[test]
fn an_unknown_member_is_named_with_its_path() {
    assert_eq!(read(r#"{"n":1,"x":2}"#), Err("top.x: Unknown".to_owned()));
}

#[test]
fn a_missing_member_is_named_with_its_path() {
    assert_eq!(read("{}"), Err("top.n: Missing".to_owned()));
}

#[test]
fn null_is_not_the_same_as_absent() {
    assert_eq!(read(r#"{"n":1,"o":null}"#), Err("top.o: Type(\"a string\")".to_owned()));
    assert_eq!(read(r#"{"n":1,"z":null}"#), Ok(1));
}

#[test]
fn a_number_outside_its_range_is_refused() {
    assert_eq!(read(r#"{"n":9}"#), Err("top.n: Rule(\"9 is not between 0 and 5\")".to_owned()));
}

fn parse(text: &str) -> Result<String, String> {
    document(text.as_bytes()).map(|value| value.to_string()).map_err(|error| error.to_string())
}

fn read(text: &str) -> Result<i64, String> {
    let value = document(text.as_bytes()).unwrap();
    let read = || {
        let mut members = Members::of(&value, "top")?;
        let n = members.required("n", integer(0, 5))?;
        members.optional("o", string)?;
        members.nullable("z", string)?;
        members.end().map(|()| n)
    };
    read().map_err(|misfit| format!("{}: {:?}", misfit.path, misfit.kind))
}
