//! What memory knows when a caller hangs up, or the database's answer is lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_testkit::database::Scratch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A line to PostgreSQL that breaks, once it is told to, between the next commit and the answer to it.
async fn line(server: String, breaks: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(pass(near, far, Arc::clone(&breaks)));
        }
    });
    address
}

async fn pass(mut near: TcpStream, mut far: TcpStream, breaks: Arc<AtomicBool>) -> Option<()> {
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = near.read(&mut question) => {
                let asked = &question[..read.ok().filter(|read| *read > 0)?];
                far.write_all(asked).await.ok()?;
                let commits = asked.windows(6).any(|word| word == b"COMMIT");
                if commits && breaks.swap(false, Ordering::SeqCst) {
                    // It answers: it is done. Nobody hears that.
                    return far.read(&mut answer).await.ok().map(drop);
                }
            }
            read = far.read(&mut answer) => {
                let said = &answer[..read.ok().filter(|read| *read > 0)?];
                near.write_all(said).await.ok()?;
            }
        }
    }
}

#[tokio::test]
async fn who_was_withdrawn_is_out_although_the_answer_to_the_commit_was_lost() {
    let scratch = Scratch::postgres().await;
    let (scheme, rest) = scratch.url().split_once("://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let breaks = Arc::new(AtomicBool::new(false));
    let near = line(server.to_owned(), Arc::clone(&breaks)).await;
    let db = Db::open(&format!("{scheme}://{user}@{near}/{path}")).await.unwrap();
    let door = open(&db).await;
    let (a, b) = (door.invite().await, door.invite().await);
    let out = door.redeem(&a.code.to_string(), None).await.unwrap();
    let stays = door.redeem(&b.code.to_string(), None).await.unwrap();
    let tokens = [&out, &stays].map(|redeemed| door.access.playback_token(&redeemed.seat));

    let organise = proof::organise(door.event.id);
    breaks.store(true, Ordering::SeqCst);
    let answer = door.access.withdraw(&organise, Actor::Operator, a.invitation.id).await;
    assert!(matches!(answer, Err(DbError::Unavailable(_))), "{answer:?}");
    // Nobody knows. The organiser tries again, and there is nothing left to withdraw.
    assert!(!door.access.withdraw(&organise, Actor::Operator, a.invitation.id).await.unwrap());
    door.access.settle_doubts().await.unwrap();
    assert_eq!(door.watch(&tokens[0]), Err(Denied::Unknown));
    assert_eq!(out.seat.over(), Some(EndReason::Revoked));
    assert!(door.watch(&tokens[1]).is_ok());
    db.close().await;
    scratch.remove().await;
}

#[tokio::test]
async fn an_organiser_who_hangs_up_has_deleted_the_event_or_has_not() {
    both(async |db| {
        // The caller goes away after so many turns: at some of them the commit is under way.
        for turns in 0..40 {
            let door = open(&db).await;
            let code = door.invite().await.code.to_string();
            let redeemed = door.redeem(&code, None).await.unwrap();
            let event = door.event.id;
            let allowed = proof::organise(event);
            let mut asked = Box::pin(door.access.delete_event(&allowed, Actor::Operator));
            for _ in 0..turns {
                if std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context))).await.is_ready()
                {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(asked);
            // What was under way held the row: whoever gets it next knows how it ended.
            let mut tx = db.write().await.unwrap();
            events::lock(&mut tx, event).await.unwrap();
            drop(tx);
            let there = events::get(&db, event).await.unwrap().is_some();
            for _ in 0..100 {
                if door.access.room(event).is_some() == there && redeemed.seat.over().is_none() == there {
                    break;
                }
                // Memory follows in a task of its own.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(door.access.room(event).is_some(), there, "after {turns} turns");
            assert_eq!(redeemed.seat.over().is_none(), there);
        }
    })
    .await;
}
