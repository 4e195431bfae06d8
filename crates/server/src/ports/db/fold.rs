//! Names as they are looked for: what somebody types without capitals and accents finds those who have them.

use stagedoor_domain::id::InvitationId;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::{Db, DbError, settings};

/// Which way of folding the rows were written with: whoever changes [`fold`] raises it.
const VERSION: &str = "2";
/// The setting that says so.
const SETTING: &str = "names_folded";
/// Rows that are folded again in one transaction.
const STEP: u32 = 500;

/// Lower case without accents. Letters with a stroke, which no standard takes apart, are written as people type them who
/// have no such key.
#[must_use]
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    // Taken apart before and after: some letters have a lower case only then, and some lower cases have an accent.
    for letter in name.nfkd().flat_map(char::to_lowercase).nfkd().filter(|letter| !is_combining_mark(*letter)) {
        match letter {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            letter => folded.push(letter),
        }
    }
    folded
}

/// Folds the names of rows that an older version wrote, once.
///
/// # Errors
///
/// Any [`DbError`] of a statement; what was done stays, and the next start goes on.
pub(super) async fn refold(db: &Db) -> Result<(), DbError> {
    if settings::get(db, SETTING).await?.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let sql = "SELECT id, name, name_folded FROM invitations WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = db.all(sql, [after.into(), STEP.into()]).await?;
        let Some(last) = rows.last() else { break };
        after = last.text("id")?;
        let mut tx = db.write().await?;
        for row in &rows {
            let folded = fold(&row.text("name")?);
            if folded != row.text("name_folded")? {
                let id: InvitationId = row.parse("id")?;
                tx.execute("UPDATE invitations SET name_folded = $1 WHERE id = $2", [folded.into(), id.into()]).await?;
            }
        }
        tx.commit().await?;
    }
    let mut tx = db.write().await?;
    settings::put(&mut tx, SETTING, VERSION).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::selection::{self, Filter};
    use super::super::testing::{both, sample};
    use super::*;

    #[test]
    fn capitals_and_accents_make_no_difference() {
        for (name, folded) in [
            ("Žižková", "zizkova"),
            ("ŽIŽKOVÁ", "zizkova"),
            ("Z\u{30c}iz\u{30c}ková", "zizkova"),
            ("Łukasz Øre", "lukasz ore"),
            ("Straße", "strasse"),
            ("İpek", "ipek"),
            ("Ὀδυσσεύς", "οδυσσευς"),
            ("100% Bob", "100% bob"),
            ("𝐀da", "ada"),
            ("", ""),
        ] {
            assert_eq!(fold(name), folded);
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in ".{0,40}") {
            prop_assert_eq!(fold(&fold(&name)), fold(&name));
        }
    }

    #[tokio::test]
    async fn rows_of_an_older_version_are_found_after_the_next_start() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let made = sample::invitation_named(&db, event, "Žižková", 1).await.id;
            let mut tx = db.write().await.unwrap();
            tx.execute("UPDATE invitations SET name_folded = 'žižková'", []).await.unwrap();
            tx.execute("DELETE FROM settings WHERE name = $1", [SETTING.into()]).await.unwrap();
            tx.commit().await.unwrap();
            let filter = Filter::named("zizk");
            assert_eq!(selection::newest(&db, event, &filter, None, 9).await.unwrap(), []);
            refold(&db).await.unwrap();
            assert_eq!(selection::newest(&db, event, &filter, None, 9).await.unwrap(), [made]);
            refold(&db).await.unwrap();
        })
        .await;
    }
}
