//! The images of a catalog as studies read them.

use std::{fs::File, sync::Arc};

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    data::{Draw, Images, SharedImages, Transform},
    random,
    train::AnyError,
};

use crate::{
    catalog::Catalog, decode::Pixels, error::BadImage, kept::Kept, share, transform::Pipeline,
};

/// Images of a catalog, in its order, that are decoded when they are asked for, or read from where their
/// pixels are kept.
#[derive(Debug)]
pub struct CatalogImages {
    catalog: Arc<Catalog>,
    labels: Vec<u32>,
    channels: usize,
    kept: Option<Kept>,
}

impl CatalogImages {
    /// Every image is made to have so many channels.
    pub fn new(catalog: Arc<Catalog>, kept: Option<Kept>, channels: usize) -> Self {
        let labels = catalog.samples.iter().map(|sample| sample.class).collect();
        Self { catalog, labels, channels, kept }
    }

    /// Images that another process [shares](Images::share); `files` are those that it names.
    ///
    /// # Errors
    ///
    /// A description that no process of this version wrote, or that is about other files.
    pub fn shared(description: &[u8], files: Vec<File>) -> Result<Self, AnyError> {
        let (catalog, kept, channels) = share::read(description, files)?;
        Ok(Self::new(Arc::new(catalog), kept, channels))
    }

    fn pixels(&self, image: usize) -> Result<Pixels, BadImage> {
        let kept = self.kept.as_ref().and_then(|kept| kept.pixels(image));
        kept.map_or_else(|| self.catalog.decode(&self.catalog.samples[image]), Ok)
    }

    fn one(
        &self,
        draw: Draw,
        pipeline: &Pipeline,
        side: usize,
        input: &mut [f32],
    ) -> Result<(), BadImage> {
        let mut rng: Pcg64Mcg = random::generator(draw.seed, &[]);
        let image = pipeline.image(self.pixels(draw.image)?, side, &mut rng);
        let sample = &self.catalog.samples[draw.image];
        pipeline.normalized(&image.map_err(|problem| self.catalog.bad(sample, problem))?, input);
        Ok(())
    }
}

impl Images for CatalogImages {
    fn channels(&self) -> usize {
        self.channels
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn inputs(
        &self,
        draws: &[Draw],
        transforms: &[Transform],
        side: usize,
    ) -> Result<Vec<f32>, AnyError> {
        let pipeline = Pipeline::new(transforms, self.channels)?;
        let size = self.channels * side * side;
        let mut inputs = vec![0.0; draws.len() * size];
        for (draw, input) in draws.iter().zip(inputs.chunks_exact_mut(size.max(1))) {
            self.one(*draw, &pipeline, side, input)?;
        }
        Ok(inputs)
    }

    fn share(&self) -> Result<SharedImages, AnyError> {
        Ok(share::write(&self.catalog, self.kept.as_ref(), self.channels)?)
    }
}
