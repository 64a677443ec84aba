//! Published sets from small tables made by hand, in the columns they are published with; counts worked out by hand.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use cxr_data::{Dataset, Label, LoadOptions, Manifest, Part, Projection, Result, Sex, View, load, load_with};
use tempfile::TempDir;

fn set(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn auto(dir: &Path, part: Part) -> Result<Manifest> {
    load(dir, Dataset::Auto, part)
}

/// Positive, negative, uncertain, not mentioned, without labels.
fn counts(set: &Manifest, task: &str) -> [usize; 5] {
    let column = set.task_indices(&[task]).unwrap()[0];
    let mut counts = [0; 5];
    for record in &set.records {
        counts[match record.labels.get(column) {
            Some(Label::Positive) => 0,
            Some(Label::Negative) => 1,
            Some(Label::Uncertain) => 2,
            Some(Label::NotMentioned) => 3,
            None => 4,
        }] += 1;
    }
    counts
}

const FOURTEEN: &str = "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,\
                        No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices";

/// C03: split, metadata and labels joined; the published split; NegBio's labels on demand.
#[test]
fn c03_mimic_cxr_jpg() {
    let labels = |effusion: &str| format!(",,,,,,,,,,{effusion},,,,");
    let chexpert = format!(
        "subject_id,study_id,{FOURTEEN}\n10000032,50414267{}\n10000032.0,53189527.0{}\n10000764,57375967{}\n",
        labels("1.0"),
        labels("-1.0"),
        labels("")
    );
    let negbio = chexpert.replace("1.0", "0.0");
    let dir = set(&[
        ("mimic-cxr-2.0.0-chexpert.csv", &chexpert),
        ("mimic-cxr-2.0.0-negbio.csv", &negbio),
        (
            "mimic-cxr-2.0.0-split.csv",
            "dicom_id,study_id,subject_id,split\na,50414267,10000032,train\nb,50414267,10000032,train\nc,53189527,10000032,train\nd,57375967,10000764,validate\ne,60000000,10000999,test\n",
        ),
        (
            "mimic-cxr-2.0.0-metadata.csv",
            "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns\na,10000032,50414267,CHEST,PA,3056,2544\nb,10000032,50414267,CHEST,LATERAL,3056,2544\nc,10000032,53189527,CHEST,AP,3056,2544\nd,10000764,57375967,CHEST,LL,3056,2544\ne,10000999,60000000,CHEST,,3056,2544\n",
        ),
        ("files/p10/p10000032/s50414267/a.jpg", ""),
        ("files/p10/p10000032/s50414267/b.jpg", ""),
        ("files/p10/p10000032/s53189527/c.jpg", ""),
        ("files/p10/p10000764/s57375967/d.jpg", ""),
        ("files/p10/p10000999/s60000000/e.jpg", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Mimic, 5, 3));
    assert_eq!(counts(&all, "Pleural Effusion"), [2, 0, 1, 1, 1]);
    assert_eq!(all.records[0].path, "files/p10/p10000032/s50414267/a.jpg");
    assert_eq!((all.records[1].view, all.records[2].projection), (Some(View::Lateral), Some(Projection::Ap)));
    assert_eq!(all.records[0].study, "10000032/50414267");
    let sizes = [Part::Train, Part::Valid, Part::Test].map(|part| auto(dir.path(), part).unwrap().len());
    assert_eq!(sizes, [3, 1, 1]);
    assert!(all.account.warnings().any(|left| left.examples == ["mimic-cxr-2.0.0-negbio.csv"]));
    let options = LoadOptions { table: Some("mimic-cxr-2.0.0-negbio.csv".into()), ..LoadOptions::default() };
    let negbio = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
    assert_eq!(counts(&negbio, "Pleural Effusion"), [0, 3, 0, 1, 1]);
}

#[test]
fn padchest() {
    let dir = set(&[
        (
            "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
            ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,Labels\n\
             0,1_a.png,0,20140915,s1,p1,1930.0,M,POSTEROANTERIOR,PA,\"['pulmonary emphysema', 'pleural effusion']\"\n\
             1,1_b.png,0,20140915,s1,p1,1930.0,M,LATERAL,L,\"['pleural effusion', '']\"\n\
             2,2_a.png,54,20150101,s2,p2,1990,F,ANTEROPOSTERIOR,AP_horizontal,\"['normal']\"\n\
             3,3_a.png,54,20150101,s3,p3,,F,,PA,\n",
        ),
        ("0/1_a.png", ""),
        ("0/1_b.png", ""),
        ("54/2_a.png", ""),
        ("54/3_a.png", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Padchest, 4, 3));
    assert_eq!(all.tasks, ["normal", "pleural effusion", "pulmonary emphysema"]);
    assert_eq!(counts(&all, "Pleural Effusion"), [2, 1, 0, 0, 1]);
    assert_eq!((all.records[0].age, all.records[2].age, all.records[3].age), (Some(84.0), Some(25.0), None));
    assert_eq!((all.records[1].view, all.records[2].projection), (Some(View::Lateral), Some(Projection::Ap)));
    assert_eq!(all.records[2].sex, Some(Sex::Female));
    assert!(!all.has_parts && auto(dir.path(), Part::Test).is_err());
}

#[test]
fn vindr_by_majority_and_by_reader() {
    let dir = set(&[
        (
            "annotations/image_labels_train.csv",
            "image_id,rad_id,Cardiomegaly,Pleural effusion,Other diseases,No finding\n\
             x1,R1,1,0,0,0\nx1,R2,1,1,0,0\nx1,R3,0,0,0,1\nx2,R1,0,0,0,1\nx2,R4,0,0,0,1\nx2,R5,1,0,0,0\n",
        ),
        (
            "annotations/image_labels_test.csv",
            "image_id,Cardiomegaly,Pleural effusion,Other disease,No finding\nx3,0,1,0,0\n",
        ),
        (
            "annotations/annotations_train.csv",
            "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\nx1,R1,Cardiomegaly,1,2,3,4\n",
        ),
        ("train/x1.dicom", ""),
        ("train/x2.dicom", ""),
        ("test/x3.dicom", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patients_known), (Dataset::Vindr, 3, false));
    assert_eq!((counts(&all, "Cardiomegaly"), counts(&all, "Effusion")), ([1, 2, 0, 0, 0], [1, 2, 0, 0, 0]));
    let sizes = [Part::Train, Part::Test].map(|part| auto(dir.path(), part).unwrap().len());
    assert_eq!(sizes, [2, 1]);
    assert!(auto(dir.path(), Part::Valid).unwrap_err().to_string().contains("the parts train and test"));
    let reader = |name: &str| {
        let options = LoadOptions { reader: Some(name.into()), ..LoadOptions::default() };
        load_with(dir.path(), Dataset::Vindr, Part::Train, &options)
    };
    assert_eq!(counts(&reader("R2").unwrap(), "Pleural effusion"), [1, 0, 0, 0, 0]);
    assert_eq!(counts(&reader("R1").unwrap(), "Cardiomegaly"), [1, 1, 0, 0, 0]);
    assert!(reader("R9").unwrap_err().to_string().contains("unknown reader \"R9\"; expected one of R1, R2"));

    // As on Kaggle: a row per box and reader.
    let dir = set(&[
        (
            "train.csv",
            "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n\
             x1,Cardiomegaly,3,R1,1,2,3,4\nx1,Cardiomegaly,3,R1,5,6,7,8\nx1,Cardiomegaly,3,R2,1,2,3,4\nx1,No finding,14,R3,,,,\n\
             x2,No finding,14,R1,,,,\nx2,No finding,14,R2,,,,\nx2,No finding,14,R3,,,,\n",
        ),
        ("train/x1.png", ""),
        ("train/x2.png", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((counts(&all, "Cardiomegaly"), counts(&all, "No Finding")), ([1, 1, 0, 0, 0], [1, 1, 0, 0, 0]));
}

/// C07: a row per box, images named for the patient.
#[test]
fn c07_rsna_pneumonia() {
    let dir = set(&[
        (
            "stage_2_train_labels.csv",
            "patientId,x,y,width,height,Target\na1,,,,,0\na2,10,20,30,40,1\na2,50,20,30,40,1\na3,,,,,0\n",
        ),
        ("stage_2_detailed_class_info.csv", "patientId,class\na1,Normal\na2,Lung Opacity\n"),
        ("stage_2_train_images/a1.png", ""),
        ("stage_2_train_images/a2.png", ""),
        ("stage_2_train_images/a3.png", ""),
        ("stage_2_test_images/a4.png", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patients_known), (Dataset::Rsna, 3, true));
    assert_eq!(counts(&all, "Pneumonia"), [1, 2, 0, 0, 0]);
    let left: String = all.account.warnings().map(|left| format!("{left}\n")).collect();
    assert!(left.contains("1 images that no row of the set names: stage_2_test_images/a4.png"), "{left}");
    assert!(left.contains("stage_2_detailed_class_info.csv"), "{left}");
}

/// C04: with and without the reports, the images wherever they lie.
#[test]
fn c04_openi() {
    let projections = "uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n2,2_IM-0652-1001.dcm.png,Frontal\n";
    let reports = "uid,MeSH,Problems,image,indication,comparison,findings,impression\n1,normal,normal,Xray,\"two\nlines\",None.,x,y\n2,x,Cardiomegaly;Pulmonary Artery,Chest,i,c,f,m\n";
    for place in ["images/images_normalized/", ""] {
        let images: Vec<String> =
            ["1_IM-0001-4001", "1_IM-0001-3001", "2_IM-0652-1001"].map(|name| format!("{place}{name}.dcm.png")).into();
        let mut files = vec![("indiana_projections.csv", projections), ("indiana_reports.csv", reports)];
        files.extend(images.iter().map(|name| (name.as_str(), "")));
        let all = auto(set(&files).path(), Part::All).unwrap();
        assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Openi, 3, 2));
        assert_eq!(all.tasks, ["Cardiomegaly", "Pulmonary Artery", "normal"]);
        assert_eq!((counts(&all, "Cardiomegaly"), all.records[1].view), ([1, 2, 0, 0, 0], Some(View::Lateral)));
        files.remove(1);
        let alone = auto(set(&files).path(), Part::All).unwrap();
        assert_eq!((alone.len(), alone.tasks.len()), (3, 0));
        assert!(alone.notes.join("\n").contains("no labels without indiana_reports.csv"));
    }
}

/// C09: the paths of the kind that was downloaded; `nan`; groups of ages.
#[test]
fn c09_brax() {
    let table = "DicomPath,PngPath,PatientID,PatientSex,PatientAge,AccessionNumber,StudyDate,Cardiomegaly,Pleural Effusion,ViewPosition\n\
                 Anonymized_DICOMs/id_1/Study_1.2/Series_1/image-1.dcm,images/id_1/Study_1.2/Series_1/image-1.png,id_1,F,45,11,20080101,nan,0.0,PA\n\
                 Anonymized_DICOMs/id_1/Study_1.3/Series_1/image-2.dcm,images/id_1/Study_1.3/Series_1/image-2.png,id_1,F,85 or more,12,20080102,1.0,-1.0,L\n";
    for (kind, ending) in [("images", "png"), ("Anonymized_DICOMs", "dcm")] {
        let [one, two] = [("1.2", 1), ("1.3", 2)]
            .map(|(study, number)| format!("{kind}/id_1/Study_{study}/Series_1/image-{number}.{ending}"));
        let all =
            auto(set(&[("master_spreadsheet_update.csv", table), (&one, ""), (&two, "")]).path(), Part::All).unwrap();
        assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Brax, 2, 1));
        assert_eq!((counts(&all, "Cardiomegaly"), counts(&all, "Effusion")), ([1, 0, 0, 1, 0], [0, 1, 1, 0, 0]));
        assert_eq!((all.records[0].age, all.records[1].age), (Some(45.0), None));
        assert_eq!((all.records[0].study.as_str(), all.records[1].view), ("id_1/Study_1.2", Some(View::Lateral)));
        assert!(all.notes.join("\n").contains("1 ages are groups"));
    }
}

#[test]
fn tbx11k_by_lists_and_by_boxes() {
    let images = [
        ("imgs/health/h0001.png", ""),
        ("imgs/sick/s0001.png", ""),
        ("imgs/tb/tb0003.png", ""),
        ("imgs/test/t1.png", ""),
    ];
    let mut files = vec![
        ("lists/TBX11K_train.txt", "health/h0001.png\ntb/tb0003.png\n"),
        ("lists/TBX11K_val.txt", "imgs/sick/s0001.png\n"),
        ("lists/all_test.txt", "test/t1.png\n"),
    ];
    files.extend(images);
    let dir = set(&files);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len()), (Dataset::Tbx11k, 3));
    assert_eq!((counts(&all, "TB"), counts(&all, "Healthy")), ([1, 2, 0, 0, 0], [1, 2, 0, 0, 0]));
    assert_eq!([Part::Train, Part::Valid].map(|part| auto(dir.path(), part).unwrap().len()), [2, 1]);
    assert!(auto(dir.path(), Part::Test).is_err());

    let boxes = "fname,image_height,image_width,source,bbox,target,tb_type,image_type\n\
                 h0001.png,512,512,train,none,no_tb,none,healthy\ns0001.png,512,512,val,none,no_tb,none,sick_but_no_tb\n\
                 tb0003.png,512,512,train,\"{'xmin': 1, 'ymin': 2}\",tb,active_tb,tb\ntb0003.png,512,512,train,\"{'xmin': 3}\",tb,active_tb,tb\n";
    let dir =
        set(&[("data.csv", boxes), ("images/h0001.png", ""), ("images/s0001.png", ""), ("images/tb0003.png", "")]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((counts(&all, "Tuberculosis"), counts(&all, "Healthy")), ([1, 2, 0, 0, 0], [1, 2, 0, 0, 0]));
    assert_eq!(auto(dir.path(), Part::Train).unwrap().len(), 2);
}

#[test]
fn covid_chestxray() {
    let table = "patientid,offset,sex,age,finding,RT_PCR_positive,view,modality,folder,filename\n\
                 2,0,M,65,Pneumonia/Viral/COVID-19,Y,PA,X-ray,images,a.jpeg\n2,3,M,65,Pneumonia/Viral/COVID-19,Y,AP Supine,X-ray,images,b.jpg\n\
                 4,0,F,,No Finding,,L,X-ray,images,c.png\n5,,,40,todo,,PA,X-ray,images,d.png\n6,0,F,70,Pneumonia,,Axial,CT,volumes,e.nii.gz\n";
    let mut files = vec![("metadata.csv", table)];
    files.extend(
        ["images/a.jpeg", "images/b.jpg", "images/c.png", "images/d.png", "volumes/e.nii.gz"].map(|name| (name, "")),
    );
    let all = auto(set(&files).path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Covid, 4, 3));
    assert_eq!(all.tasks, ["COVID-19", "No Finding", "Pneumonia", "Viral"]);
    assert_eq!((counts(&all, "covid"), counts(&all, "Pneumonia")), ([2, 1, 0, 0, 1], [2, 1, 0, 0, 1]));
    assert_eq!((all.records[1].projection, all.records[2].view), (Some(Projection::Ap), Some(View::Lateral)));
    assert!(all.notes.join("\n").contains("1 rows of CT left out"));
}

#[test]
fn chexpert_plus() {
    let table = "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,report,age,sex,split\n\
                 train/patient1/study1/view1_frontal.jpg,x.dcm,Frontal,AP,patient1,1,\"A report,\nof two lines\",58,Female,train\n\
                 train/patient1/study1/view2_lateral.jpg,y.dcm,Lateral,,patient1,1,r,58,Female,train\n\
                 valid/patient2/study3/view1_frontal.jpg,z.dcm,Frontal,PA,patient2,1,r,0,Male,valid\n";
    let impression = "{\"path_to_image\": \"train/patient1/study1/view1_frontal.jpg\", \"Edema\": 1.0, \"Pneumonia\": null}\n\
                      {\"path_to_image\": \"valid/patient2/study3/view1_frontal.jpg\", \"Edema\": -1.0, \"Pneumonia\": 0}\n";
    let findings = impression.replace("-1.0", "0.0");
    let dir = set(&[
        ("df_chexpert_plus_240401.csv", table),
        ("chexpert_labels/impression_fixed.json", impression),
        ("chexpert_labels/findings_fixed.json", &findings),
        ("PNG/PNG/train/patient1/study1/view1_frontal.png", ""),
        ("PNG/PNG/train/patient1/study1/view2_lateral.png", ""),
        ("PNG/PNG/valid/patient2/study3/view1_frontal.png", ""),
    ]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::ChexpertPlus, 3, 2));
    assert_eq!(counts(&all, "Edema"), [1, 0, 1, 0, 1]);
    assert_eq!((all.records[0].age, all.records[2].age), (Some(58.0), None));
    assert_eq!([Part::Train, Part::Valid].map(|part| auto(dir.path(), part).unwrap().len()), [2, 1]);
    let options = LoadOptions { table: Some("findings_fixed.json".into()), ..LoadOptions::default() };
    let findings = load_with(dir.path(), Dataset::Auto, Part::All, &options).unwrap();
    assert_eq!(counts(&findings, "Edema"), [1, 1, 0, 0, 1]);
}

/// C06: the full release as it was unzipped, in its batches.
#[test]
fn c06_chexpert_in_batches() {
    let header = format!("Path,Sex,Age,Frontal/Lateral,AP/PA,{FOURTEEN}");
    let row = |path: &str| format!("CheXpert-v1.0/{path},Female,60,Frontal,AP,1.0{}\n", ",".repeat(13));
    let train = format!(
        "{header}\n{}{}",
        row("train/patient00001/study1/view1_frontal.jpg"),
        row("train/patient21514/study1/view1_frontal.jpg")
    );
    let valid = format!("{header}\n{}", row("valid/patient64541/study1/view1_frontal.jpg"));
    let first = "CheXpert-v1.0 batch 1 (validate & csv)";
    let files = [
        (format!("{first}/train.csv"), train.as_str()),
        (format!("{first}/valid.csv"), &valid),
        (format!("{first}/valid/patient64541/study1/view1_frontal.jpg"), ""),
        ("CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg".into(), ""),
        ("CheXpert-v1.0 batch 3 (train 2)/patient21514/study1/view1_frontal.jpg".into(), ""),
    ];
    let dir = set(&files.iter().map(|(name, text)| (name.as_str(), *text)).collect::<Vec<_>>());
    let sizes = [Part::Train, Part::Valid, Part::All].map(|part| auto(dir.path(), part).unwrap().len());
    assert_eq!(sizes, [2, 1, 3]);
    let all = auto(dir.path(), Part::All).unwrap();
    assert!((0..3).all(|row| all.image_path(row).is_file()));
    assert_eq!(all.account.warnings().count(), 0, "{:?}", all.account);
    // A patient that is in no batch is missing, not another one.
    fs::remove_file(all.image_path(0)).unwrap();
    assert!(auto(dir.path(), Part::Train).unwrap_err().to_string().contains("patient00001"));
}

/// C01, C30: NIH's table under other names and with other endings of the images.
#[test]
fn c01_c30_nih_under_other_names() {
    let row =
        |name: &str, findings: &str, patient: &str| format!("{name},{findings},000,{patient},055Y,F,PA,2000,2000\n");
    let header =
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,Width,Height\n";
    let table = format!(
        "{header}{}{}",
        row("00090001_000.png", "Effusion|Mass", "1"),
        row("00090002_000.png", "No Finding", "2")
    );
    for (name, images) in [
        ("sample_labels.csv", ["images/00090001_000.png", "images/00090002_000.png"]),
        ("sample/sample_labels.csv", ["sample/images/00090001_000.png", "sample/images/00090002_000.png"]),
        ("Data_Entry_2017_v2020.csv", ["images/00090001_000.PNG", "images/00090002_000.PNG"]),
        ("Data_Entry_2017.csv", ["images-224/images-224/00090001_000.jpg", "images-224/images-224/00090002_000.jpg"]),
    ] {
        let dir = set(&[(name, &table), (images[0], ""), (images[1], "")]);
        let all = auto(dir.path(), Part::All).unwrap();
        assert_eq!((all.dataset, all.len(), all.patient_count()), (Dataset::Nih, 2, 2), "{name}");
        // The name that CheXpert gives the finding.
        assert_eq!(counts(&all, "Pleural Effusion"), [1, 1, 0, 0, 0]);
        assert_eq!(all.named_otherwise(&["Pleural Effusion", "Mass"]), [("Pleural Effusion", "Effusion")]);
        assert!(all.exact_task_indices(&["Pleural Effusion"]).is_err());
        // The sample has no published parts; of the whole set the lists are asked for.
        let train = auto(dir.path(), Part::Train);
        assert_eq!(train.is_ok(), name.contains("sample"), "{name}");
    }
}
