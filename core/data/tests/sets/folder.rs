use spacewright_data::{Division, Part, Wanted, divide};

use super::{Folder, divided, listed, png, reds, refused};

fn name(part: Part, class: &str, file: &str) -> (Part, String, String) {
    (part, class.to_owned(), file.to_owned())
}

#[test]
fn parts_and_classes_are_folders() {
    let folder = Folder::new();
    for (index, file) in
        ["train/dog/b.png", "train/cat/a.PNG", "val/cat/c.png", "test/dog/deep/er/d.png"]
            .iter()
            .enumerate()
    {
        folder.write(file, png(index as u8));
    }
    let catalog = folder.open().unwrap();
    assert_eq!(
        (catalog.layout, &catalog.classes[..]),
        ("image-folder", &["cat", "dog"].map(str::to_owned)[..])
    );
    assert_eq!(
        listed(&catalog),
        [
            name(Part::Train, "cat", "train/cat/a.PNG"),
            name(Part::Train, "dog", "train/dog/b.png"),
            name(Part::Validation, "cat", "val/cat/c.png"),
            name(Part::Test, "dog", "test/dog/deep/er/d.png"),
        ]
    );
    assert_eq!(reds(&catalog), [1, 0, 2, 3]);
    let division = divided(&catalog, 1, 0);
    assert_eq!((division.train, division.held_out, division.test), (vec![0, 1], vec![2], vec![3]));
}

#[test]
fn without_parts_all_is_for_training_and_a_share_is_held_out() {
    let folder = Folder::new();
    for index in 0..40 {
        folder
            .write(format!("cat/{index}.png"), png(index))
            .write(format!("dog/{index}.png"), png(index));
    }
    // A class may be called like a part.
    folder.write("train/1.png", png(1));
    let catalog = folder.open().unwrap();
    assert_eq!(catalog.classes, ["cat", "dog", "train"]);
    assert_eq!(catalog.count(Part::Train), 81);
    let division = divided(&catalog, 10, 0);
    let of = |images: &[usize], class: u32| {
        images.iter().filter(|index| catalog.samples[**index].class == class).count()
    };
    let counts = |images: &[usize]| [0, 1, 2].map(|class| of(images, class));
    assert_eq!(counts(&division.held_out), [5, 5, 0]);
    assert_eq!(counts(&division.test), [5, 5, 0]);
    assert_eq!(counts(&division.train), [30, 30, 1]);
    assert_eq!(divided(&catalog, 10, 0), division);
    assert_ne!(divided(&catalog, 10, 1), division);
}

#[test]
fn others_give_what_a_rare_class_cannot() {
    let folder = Folder::new();
    for class in 0..100 {
        folder.write(format!("rare-{class:02}/1.png"), png(1));
    }
    for index in 0..20 {
        folder.write(format!("z/{index}.png"), png(index));
    }
    let catalog = folder.open().unwrap();
    let division = divided(&catalog, 12, 0);
    let of_z = |images: &[usize]| {
        images.iter().filter(|index| catalog.samples[**index].class == 100).count()
    };
    // Of the twenty all but one, for 24 that are wanted.
    assert_eq!((of_z(&division.test), of_z(&division.held_out)), (10, 9));
    assert_eq!(division.train.len(), 101);
    assert_eq!(divided(&catalog, usize::MAX, 0).train.len(), 101);
}

#[test]
fn foreign_files_are_counted() {
    let folder = Folder::new();
    folder
        .write("train/cat/1.png", png(1))
        .write("train/cat/.DS_Store", "x")
        .write("train/cat/notes.txt", "x")
        .write("train/cat/Thumbs.DB", "x")
        .write("train/cat/README", "x")
        .write("train/.cache/2.png", png(2))
        .write("train/loose.png", png(3))
        .write("train/dog/2.png", png(4))
        .write("train/empty/.gitkeep", "")
        .write("LICENSE", "")
        .write("papers/figure.png", png(5));
    let catalog = folder.open().unwrap();
    let skipped: Vec<(&str, usize)> =
        catalog.skipped.iter().map(|(what, count)| (what.as_str(), *count)).collect();
    assert_eq!(
        skipped,
        [
            (".db", 1),
            (".txt", 1),
            ("folder that is no part", 1),
            ("hidden", 3),
            ("in no class", 1),
            ("no extension", 2)
        ]
    );
    assert_eq!(catalog.classes, ["cat", "dog"]);
    assert_eq!(catalog.notices, ["class empty has no images in the train part"]);
}

#[test]
fn classes_that_differ_in_case_are_told() {
    let folder = Folder::new();
    folder.write("Cat/1.png", png(1)).write("cat/1.png", png(2));
    let catalog = folder.open().unwrap();
    assert_eq!(catalog.classes, ["Cat", "cat"]);
    assert_eq!(catalog.notices, ["classes Cat and cat differ in case only"]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = Folder::new();
    folder.write("val/cat/1.png", png(1));
    assert_eq!(
        folder.refused(),
        "SET: has parts, but none to train on; name the folder of the images to train on `train`"
    );
    folder.write("train/dog/1.png", png(1));
    assert_eq!(
        folder.refused(),
        "SET/val/cat/1.png: no image of class cat is in the training part; the classes of all parts must \
         be those of the training part"
    );
    folder.write("train/Cat/1.png", png(1));
    assert_eq!(
        folder.refused(),
        "SET/val/cat/1.png: no image of class cat is in the training part; its name and that of `Cat` in \
         the training part differ in case only: rename one"
    );
    folder.write("validation/dog/1.png", png(1));
    assert_eq!(
        folder.refused(),
        "SET: `val` and `validation` are both the validation part; leave one of them in the folder"
    );
    let wrapped = Folder::new();
    wrapped.write("photographs/train/cat/1.png", png(1));
    wrapped.write("__MACOSX/photographs/._x.png", "");
    assert_eq!(wrapped.refused(), "SET: `train` lies in a class; give SET/photographs");
    let flat = Folder::new();
    flat.write("train/1.png", png(1)).write("test/2.png", png(2));
    assert_eq!(
        flat.refused(),
        "SET: the images of its parts are in no classes; put the images of each class into a folder: \
         train/cat/1.jpg"
    );
}

#[test]
fn thousands_of_classes_are_listed() {
    let folder = Folder::new();
    for class in 0..3000 {
        folder.write(format!("train/{class:05}/x.png"), png(1));
    }
    let catalog = folder.open().unwrap();
    assert_eq!((catalog.classes.len(), catalog.samples[2999].class), (3000, 2999));
}

#[cfg(unix)]
mod unix {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let (folder, elsewhere) = (Folder::new(), Folder::new());
        elsewhere.write("images/1.png", png(7));
        folder.write("train/cat/2.png", png(8)).write("train/dog/3.png", png(9));
        let at = |name: &str| folder.path().join(name);
        symlink(elsewhere.path().join("images"), at("train/cow")).unwrap();
        symlink(elsewhere.path().join("images/1.png"), at("train/cat/1.png")).unwrap();
        symlink(at("train"), at("train/cat/back")).unwrap();
        symlink(folder.path(), at("train/cat/up")).unwrap();
        symlink(elsewhere.path().join("images"), at("train/cow/again")).unwrap();
        symlink("nowhere", at("train/dog/lost.png")).unwrap();
        fs::create_dir(at("train/dog/folder.png")).unwrap();
        let catalog = folder.open().unwrap();
        assert_eq!(catalog.classes, ["cat", "cow", "dog"]);
        assert_eq!(reds(&catalog), [7, 8, 7, 9]);
        assert_eq!(refused(&catalog), ["train/dog/lost.png (class dog): is a link to nothing"]);
        for (notice, end) in catalog.notices.iter().zip([
            "cat/back leads back to a folder above it: left out",
            "cat/up leads back to a folder above it: left out",
            "cow/again leads back to a folder above it: left out",
        ]) {
            assert!(notice.ends_with(end), "{notice}");
        }
        assert_eq!(catalog.notices.len(), 3);
    }

    #[test]
    fn images_that_two_classes_link_to_have_one_label() {
        let (folder, elsewhere) = (Folder::new(), Folder::new());
        elsewhere.write("images/1.png", png(7));
        folder.write("train/cat/2.png", png(8)).write("train/dog/3.png", png(9));
        for class in ["cow", "ox"] {
            let link = folder.path().join("train").join(class);
            std::os::unix::fs::symlink(elsewhere.path().join("images"), link).unwrap();
        }
        let catalog = folder.open().unwrap();
        assert_eq!((catalog.classes.len(), reds(&catalog)), (3, vec![8, 7, 9]));
        let notices = catalog.notices.join("; ");
        assert!(
            notices.contains("ox leads to a folder that is listed already: left out"),
            "{notices}"
        );
        assert!(notices.contains("class ox has no images in the train part"), "{notices}");
    }

    #[test]
    fn a_link_takes_no_images_from_the_class_in_which_they_lie() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        for (image, red) in [("a/1.png", 1), ("b/1.png", 2), ("b/sub/1.png", 3), ("c/1.png", 4)] {
            folder.write(image, png(red));
        }
        for (link, target) in [("a/more", "../b"), ("a/some", "../b/sub"), ("0", "c")] {
            symlink(target, folder.path().join(link)).unwrap();
        }
        let catalog = folder.open().unwrap();
        assert_eq!(catalog.classes, ["a", "b", "c"]);
        assert_eq!(reds(&catalog), [1, 2, 3, 4]);
        let at = |end: &str| format!("{}/{end}", folder.path().display());
        assert_eq!(
            catalog.notices,
            [
                at("0 leads to a folder of another class: left out"),
                "class 0 has no images in the train part".into(),
                at("a/more leads to a folder of another class: left out"),
                at("a/some leads to a folder of another class: left out"),
            ]
        );
    }

    #[test]
    fn of_a_class_that_is_missed_in_training_the_first_that_cannot_be_used_is_told() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        folder.write("train/a/1.png", png(1)).write("val/b/1.png", png(2));
        let told = |what: &str| {
            format!(
                "SET/val/b/1.png: no image of class b in the training part can be used: {what} is a link \
                 to nothing; mend {what}, or remove the class from all parts"
            )
        };
        let class = folder.path().join("train/b");
        symlink("nowhere", &class).unwrap();
        assert_eq!(folder.refused(), told("train/b"));
        fs::remove_file(&class).unwrap();
        fs::create_dir(&class).unwrap();
        for image in ["0.png", "1.png"] {
            symlink("nowhere", class.join(image)).unwrap();
        }
        assert_eq!(folder.refused(), told("train/b/0.png"));
    }

    #[test]
    fn what_a_file_system_found_again_is_no_class() {
        let (whole, parted) = (Folder::new(), Folder::new());
        whole.write("a/1.png", png(1)).write("b/1.png", png(2)).write("lost+found/#12/train/x", "");
        parted.write("train/a/1.png", png(1)).write("val/lost+found/1.png", png(3));
        for (set, classes) in [(whole, &["a", "b"][..]), (parted, &["a"])] {
            assert_eq!(set.open().unwrap().classes, classes);
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let folder = Folder::new();
        let name = OsStr::from_bytes(b"train/b\xff/\xfe.png");
        folder.write(name, png(3)).write("train/a/1.png", png(4));
        let catalog = folder.open().unwrap();
        assert_eq!(catalog.classes, ["a", "b\u{fffd}"]);
        assert_eq!(reds(&catalog), [4, 3]);
    }
}

#[test]
fn the_first_images_to_judge_on_are_of_all_classes() {
    let folder = Folder::new();
    for (class, index) in
        ["a", "b", "c", "d"].into_iter().flat_map(|class| (0..30).map(move |i| (class, i)))
    {
        folder.write(format!("{class}/{index}.png"), png(index));
    }
    let catalog = folder.open().unwrap();
    let Division { held_out, test, .. } = divided(&catalog, 40, 0);
    for images in [held_out, test] {
        let first = images[..20].iter().map(|image| catalog.samples[*image].class);
        let classes: std::collections::HashSet<u32> = first.collect();
        assert_eq!((images.len(), classes.len()), (40, 4));
    }
    for (wanted, tested) in [(0, 40), (8, 8), (100, 40)] {
        let wanted = Wanted { held_out: 40, test: wanted, ..Wanted::default() };
        let division = divide(&catalog, |_| true, &wanted);
        assert_eq!((division.held_out.len(), division.test.len()), (40, tested));
    }
}

#[test]
fn something_is_held_out_where_classes_of_one_image_would_have_to_give_all() {
    let folder = Folder::new();
    for (class, index) in (0..100).flat_map(|class| (0..2).map(move |index| (class, index))) {
        folder.write(format!("{class:02}/{index}.png"), png(index));
    }
    let catalog = folder.open().unwrap();
    // In the second division, 20 of the 180 images that are left would be those of the classes of the first.
    let Division { train, held_out, test } = divided(&catalog, 20, 0);
    assert_eq!((train.len(), held_out.len(), test.len()), (160, 20, 20));
    let classes: std::collections::HashSet<u32> =
        train.iter().map(|image| catalog.samples[*image].class).collect();
    assert_eq!(classes.len(), 100, "each keeps one to train on");
}

#[test]
fn what_no_study_can_use_is_told() {
    let told = |classes: &[&str], images: u8, held_out: usize| {
        let folder = Folder::new();
        for (class, index) in classes.iter().flat_map(|class| (0..images).map(move |i| (class, i)))
        {
            folder.write(format!("{class}/{index}.png"), png(index));
        }
        let catalog = folder.open().unwrap();
        let wanted = Wanted { held_out, ..Wanted::default() };
        let division = divide(&catalog, |_| true, &wanted);
        division.check(&catalog, |_| true, &wanted).map_err(|error| error.to_string())
    };
    assert_eq!(told(&["a", "b"], 6, 2), Ok(()));
    assert_eq!(told(&["a"], 6, 1), Err("all training images are of class a".into()));
    let expected =
        "`held_out` = 6 of [data] leaves none of 12 images, of which 6 are held out to test on";
    assert_eq!(told(&["a", "b"], 6, 6), Err(expected.into()));
    let error = told(&["a", "b", "c"], 1, 1).unwrap_err();
    assert!(
        error.starts_with("there are no images to choose by: of 3 in the training part"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_to_nothing_in_place_of_classes_and_parts_are_refused() {
    let folder = Folder::new();
    folder.write("train/a/1.png", png(1)).write("train/b/2.png", png(2));
    for link in ["train/c", "test"] {
        std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join(link)).unwrap();
    }
    std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("train/a/more")).unwrap();
    let catalog = folder.open().unwrap();
    let refused: Vec<String> = catalog.refused.iter().map(ToString::to_string).collect();
    let link = |place: &str| format!("{place}: is a link to nothing");
    assert_eq!(refused, ["test", "train/a/more (class a)", "train/c"].map(link));
    assert!(catalog.skipped.is_empty());
}

#[cfg(unix)]
#[test]
fn folders_that_lead_to_one_another_are_looked_into_once() {
    let folder = Folder::new();
    folder.write("train/a/1.png", png(1)).write("train/b/2.png", png(2));
    let at = |name: &str| folder.path().join(name);
    let names: Vec<String> = (0..12).map(|index| format!("notes/{index}")).collect();
    names.iter().for_each(|name| std::fs::create_dir_all(at(name)).unwrap());
    for name in &names {
        for (index, other) in names.iter().enumerate() {
            std::os::unix::fs::symlink(at(other), at(name).join(format!("to-{index}"))).unwrap();
        }
    }
    assert_eq!(reds(&folder.open().unwrap()), [1, 2]);
}
