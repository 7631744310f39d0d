use super::*;

#[test]
fn every_fault_has_a_name_of_its_own() {
    for (fault, name) in Fault::ALL {
        assert_eq!(Fault::named(name), Some(fault));
        assert_eq!(fault.model(), name);
    }
}

#[test]
fn a_model_name_sets_the_pace() {
    let pace = Pace::default().of_model("vendor/fake-l50-n20-i5");
    let millis = Duration::from_millis;
    assert_eq!(pace, Pace { latency: millis(50), chunks: 20, interval: millis(5) });
}

#[test]
fn words_in_a_model_name_are_no_options() {
    assert_eq!(Pace::default().of_model("fake-large-nested"), Pace::default());
}

#[test]
fn only_known_models_are_served() {
    let script = Script::default().model("gpt-x");
    let served = ["fake", "fake-small", "a/fake-b", "gpt-x", "fault-500", "fault-nothing", "gpt-y"]
        .map(|model| script.serves(model));
    assert_eq!(served, [true, true, true, true, true, false, false]);
}
