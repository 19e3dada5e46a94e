//! A new migration is a new file, which the compiler would not notice by itself.

fn main() {
    for schema in ["orders", "inventory", "payments", "notifications", "support"] {
        println!("cargo::rerun-if-changed={schema}");
    }
}
